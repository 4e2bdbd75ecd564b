import "./styles/main.css";
// Here, for a part that `loadLater` loads brings no stylesheet: Vite would not ask for it twice.
import "@xyflow/react/dist/style.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queryClient } from "./app/query-client";
import { router } from "./app/router";

const root = document.getElementById("root");
if (!root) {
  throw new Error("The page has no element with the id “root”.");
}
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
