/** Airflow around us: its theme, and its pages. Airflow shows this dashboard in a frame of the same origin. */

type Theme = "light" | "dark";

/** Airflow's frontend keeps its choice here (next-themes); "system" or nothing: as the browser prefers. */
const THEME_KEY = "theme";

function theme(): Theme {
  const chosen = localStorage.getItem(THEME_KEY);
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Keeps `data-theme` of the page as Airflow has it, also when somebody changes it there. */
export function followTheme(): void {
  const apply = () => {
    document.documentElement.dataset.theme = theme();
  };
  apply();
  addEventListener("storage", apply);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
}

/** Airflow's window if we are in its frame. */
function host(): Window | null {
  try {
    return window.parent !== window && window.parent.location.origin === location.origin ? window.parent : null;
  } catch {
    return null;
  }
}

/** Path of Airflow's root without the slash at its end: the page is `<root>/cch/ui/`. */
export const airflowRoot = () => location.pathname.replace(/\/cch\/ui\/.*$/, "");

export const loginUrl = () => `${airflowRoot()}/auth/login/?next=${encodeURIComponent(location.href)}`;

/**
 * Opens a page of Airflow. The frame's sandbox forbids links out of it, so Airflow's own router is told.
 */
export function openAirflow(url: string): void {
  const outside = host();
  if (outside === null) {
    location.assign(url);
    return;
  }
  outside.history.pushState(null, "", url);
  outside.dispatchEvent(new PopStateEvent("popstate"));
}

/** Airflow's page for the whole dashboard; its address shows where we are, so that it can be sent to somebody. */
const isPage = ({ location: { pathname } }: Window) => pathname.endsWith("/plugin/cch") && !pathname.includes("/dags/");

/** The place that the address of Airflow's page names, before the first page is drawn. */
export function takePlaceFromAirflow(): void {
  const outside = host();
  if (outside && isPage(outside) && outside.location.hash.startsWith("#/")) {
    location.replace(outside.location.hash);
  }
}

export function tellPlaceToAirflow(): void {
  const outside = host();
  if (outside && isPage(outside) && outside.location.hash !== location.hash) {
    // The whole path: Airflow's page has a <base>, against which a hash alone would be resolved.
    const { pathname, search } = outside.location;
    outside.history.replaceState(outside.history.state, "", pathname + search + location.hash);
  }
}
