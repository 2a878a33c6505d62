import "./styles/theme.css";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/graph.css";

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { HashRouter } from "react-router";

import { ApiError } from "./api/client";
import { followTheme, takePlaceFromAirflow } from "./airflow";
import { App } from "./App";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // What was refused will be refused again; what could not be reached may come back.
      retry: (failures, error) =>
        failures < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
    },
  },
});

followTheme();
takePlaceFromAirflow();

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <HashRouter>
          <App />
        </HashRouter>
      </QueryClientProvider>
    </StrictMode>,
  );
}
