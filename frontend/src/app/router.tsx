import {
  createRootRoute,
  createRoute,
  createRouter,
  type SearchSchemaInput,
} from "@tanstack/react-router";
import { NewRunPage } from "@/features/new-run/components/new-run-page";
import { type NewRunSearch, newRunSearch } from "@/features/new-run/search";
import { RunPage } from "@/features/run/components/run-page";
import { type RunSearch, runSearch } from "@/features/run/search";
import { RunsPage } from "@/features/runs/components/runs-page";
import { type RunFilters, runFilters } from "@/features/runs/search";
import { NotFound, PageFailed } from "./fallbacks";
import { Shell } from "./shell";

/** Lets links leave out every search parameter, which `read` then checks. */
function searchOf<Search>(read: (search: Record<string, unknown>) => Search) {
  return (search: Search & SearchSchemaInput): Search => read(search as Record<string, unknown>);
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
});

const runs = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: searchOf<RunFilters>(runFilters),
  component: RunsPage,
});

const newRun = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: searchOf<NewRunSearch>(newRunSearch),
  component: NewRunPage,
});

const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: searchOf<RunSearch>(runSearch),
  component: RunPage,
});

export const router = createRouter({
  routeTree: root.addChildren([runs, newRun, run]),
  defaultErrorComponent: PageFailed,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
