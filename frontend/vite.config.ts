/// <reference types="vitest/config" />
import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.FASTGRAPH_URL ?? "http://127.0.0.1:8000";

export default defineConfig(({ command }) => ({
  // Django serves the build under its static prefix; the dev server has the root to itself.
  base: command === "build" ? "/static/dashboard/" : "/",
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    // No index.html: the Django template is the page, and finds its files in the manifest.
    rolldownOptions: { input: "src/main.tsx" },
    manifest: true,
    sourcemap: false,
    license: { fileName: "licenses.md" },
    reportCompressedSize: false,
  },
  server: {
    host: "127.0.0.1",
    port: 5173,
    strictPort: true,
    proxy: {
      "/api": {
        target: server,
        ws: true,
        changeOrigin: true,
        // The backend refuses the Origin of another site, which the dev server is.
        headers: { origin: server },
        rewriteWsOrigin: true,
      },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
}));
