/**
 * What a stream knows about its own freshness.
 *
 * - `connecting`: the first connection is being made; nothing was received yet
 * - `catching-up`: connected, and behind what the server had at the time it was asked
 * - `live`: connected, and nothing is missing
 * - `offline`: not connected; what is shown may be old. Tries go on unless the server refused
 * - `ended`: the last event is here; there is nothing to be connected to
 * - `unknown`: the server does not know the run
 */
export type StreamState = "connecting" | "catching-up" | "live" | "offline" | "ended" | "unknown";
