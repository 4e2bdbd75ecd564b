import { useReactFlow, useStore } from "@xyflow/react";
import { type RefObject, useEffect } from "react";

export const FIT = { padding: 0.12, maxZoom: 1 };

interface KeepFittedProps {
  /** Whether a person has moved or zoomed the graph since it was fitted. */
  moved: RefObject<boolean>;
}

/** Fits the graph into its pane whenever the pane's size changes, as when an error appears above it;
 * not once a person has chosen what to look at. */
export function KeepFitted({ moved }: KeepFittedProps) {
  const { fitView } = useReactFlow();
  const width = useStore((store) => store.width);
  const height = useStore((store) => store.height);
  useEffect(() => {
    if (width > 0 && height > 0 && !moved.current) {
      fitView(FIT);
    }
  }, [width, height, fitView, moved]);
  return null;
}
