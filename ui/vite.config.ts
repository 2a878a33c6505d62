import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Relative addresses: the plugin serves the files below whatever prefix Airflow has.
export default defineConfig({
  base: "./",
  plugins: [react()],
  worker: { format: "es" },
  build: {
    outDir: "../plugins/cch/api/dashboard",
    emptyOutDir: true,
    // The largest is ELK's worker, which only pages with a graph load.
    chunkSizeWarningLimit: 1600,
  },
  server: {
    // `npm run dev` beside a running stack: CCH_AIRFLOW=http://127.0.0.1:8080
    proxy: { "/cch/api": process.env.CCH_AIRFLOW ?? "http://127.0.0.1:8080" },
  },
  test: { environment: "jsdom", globals: true, setupFiles: "./src/test/setup.ts", css: false },
});
