import { useEffect } from "react";

/** Lets a stream that waits for its next try make it at once when the network or the user is back. */
export function useComeback(stream: { hurry(): void } | null): void {
  useEffect(() => {
    const hurry = () => {
      if (document.visibilityState === "visible") {
        stream?.hurry();
      }
    };
    window.addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
    return () => {
      window.removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
    };
  }, [stream]);
}
