import { QueryClient } from "@tanstack/react-query";
import { Problem } from "@/shared/api/problem";

const TRIES = 2;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The browser's idea of being online says nothing about a server on this machine.
      networkMode: "always",
      retry: (failures, error) => failures < TRIES && mayPass(error),
    },
    mutations: { networkMode: "always" },
  },
});

/** Whether trying again could help: the server was away, or busy. */
function mayPass(error: unknown): boolean {
  const { status } = Problem.of(error);
  return status === 0 || status >= 500;
}
