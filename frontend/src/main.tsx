import "./styles/main.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queryClient } from "./app/query-client";
import { router } from "./app/router";

// After an update of the server the parts that an open page would load later are gone: it starts
// anew, but not again and again.
window.addEventListener("vite:preloadError", () => {
  const last = Number(sessionStorage.getItem("reloaded"));
  if (Date.now() - last > 60_000) {
    sessionStorage.setItem("reloaded", String(Date.now()));
    window.location.reload();
  }
});

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
