import { backoff } from "@/stream/backoff";

const RELOADED = "reloaded";
const ONCE_IN_MS = 60_000;

/**
 * The module that `load` imports: a part of the dashboard that is loaded when it is needed. While
 * the server cannot be reached this waits, and the page stays as it is. If the server answers and
 * the part is not there, the server was updated: the page is reloaded, at most once a minute.
 * Otherwise the error of `load` is thrown.
 */
export async function loadLater<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch {
    await serverAnswers();
  }
  try {
    return await load();
  } catch (error) {
    const last = Number(sessionStorage.getItem(RELOADED));
    if (Date.now() - last <= ONCE_IN_MS) {
      throw error;
    }
    sessionStorage.setItem(RELOADED, String(Date.now()));
    window.location.reload();
    return new Promise(() => {});
  }
}

/** Waits until the server answers again. */
export async function serverAnswers(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const { href } = window.location;
      const { status } = await fetch(href, { method: "HEAD", cache: "no-store" });
      if (status < 500) {
        return;
      }
    } catch {
      // Not reachable: asked again below.
    }
    await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
  }
}
