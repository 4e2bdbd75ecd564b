import { useEffect } from "react";

/** Lets a stream that waits for its next try make it at once when the network or the user is back. */
export function useReconnect(stream: { retryNow(): void } | null): void {
  useEffect(() => {
    const retryNow = () => {
      if (document.visibilityState === "visible") {
        stream?.retryNow();
      }
    };
    window.addEventListener("online", retryNow);
    document.addEventListener("visibilitychange", retryNow);
    return () => {
      window.removeEventListener("online", retryNow);
      document.removeEventListener("visibilitychange", retryNow);
    };
  }, [stream]);
}
