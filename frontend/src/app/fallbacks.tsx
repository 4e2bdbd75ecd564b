import { Link } from "@tanstack/react-router";
import { Button, buttonClass } from "@/shared/ui/button";
import { Empty } from "@/shared/ui/notice";

export function NotFound() {
  return (
    <main className="py-24">
      <Empty title="There is nothing at this address">
        <Link to="/" className={buttonClass()}>
          All runs
        </Link>
      </Empty>
    </main>
  );
}

/** What stands where a page broke. The rest of the dashboard goes on. */
export function PageFailed({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <main className="py-24">
      <Empty title="This page could not be shown">
        <p className="mb-4 break-words">{error instanceof Error ? error.message : String(error)}</p>
        <Button onClick={reset}>Try again</Button>
      </Empty>
    </main>
  );
}
