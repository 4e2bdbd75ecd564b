/**
 * What a stream knows about its own freshness.
 *
 * - `connecting`: the first connection is being made; nothing was received yet
 * - `catching-up`: connected; events that the server had when it was asked are missing
 * - `live`: nothing is missing
 * - `offline`: not connected; what is shown may be old. Tries go on unless the stream has ended
 */
export type StreamState = "connecting" | "catching-up" | "live" | "offline";

/**
 * Why nothing more will come of a run.
 *
 * - `ended`: the last event is here
 * - `unknown`: the server does not know the run, or no longer
 * - `refused`: the server does not understand the address
 */
export type StreamEnd = "ended" | "unknown" | "refused";
