import { Link, Outlet } from "@tanstack/react-router";
import { BookOpen, Plus, Settings2, Workflow } from "lucide-react";
import { buttonClass } from "@/shared/ui/button";

/** The frame of all pages. */
export function Shell() {
  return (
    <div className="flex min-h-dvh flex-col">
      <header className="sticky top-0 z-20 h-14 shrink-0 border-b border-line bg-canvas/90 backdrop-blur">
        <nav
          aria-label="Main"
          className="mx-auto flex h-full max-w-[100rem] items-center gap-1 px-4 sm:px-6"
        >
          <Link
            to="/"
            className="flex sm:mr-3 items-center gap-2.5 rounded-lg font-semibold tracking-tight"
          >
            <span className="grid size-7 place-items-center rounded-lg bg-accent-deep text-white">
              <Workflow aria-hidden className="size-4" />
            </span>
            FastGraph
          </Link>
          <Link
            to="/"
            activeOptions={{ exact: true, includeSearch: false }}
            className={`max-sm:hidden ${LINK}`}
          >
            Runs
          </Link>
          <span className="ml-auto" />
          <a href="/docs" className={LINK}>
            <BookOpen aria-hidden className="size-4" />
            <span className="sr-only sm:not-sr-only">API</span>
          </a>
          <a href="/admin/" className={LINK}>
            <Settings2 aria-hidden className="size-4" />
            <span className="sr-only sm:not-sr-only">Admin</span>
          </a>
          <Link to="/new" className={`ml-2 ${buttonClass("primary")}`}>
            <Plus aria-hidden className="size-4" />
            New run
          </Link>
        </nav>
      </header>
      <Outlet />
    </div>
  );
}

const LINK =
  "inline-flex h-8 items-center gap-2 rounded-lg px-2.5 text-dim hover:bg-raised hover:text-ink data-[status=active]:text-ink data-[status=active]:bg-raised";
