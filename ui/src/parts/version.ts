import type { Schemas } from "../api/client";

type Version = Schemas["VersionView"];

/** How the API calls it. */
export const nameOf = (version: Version) => String(version.number ?? version.digest);
export const shown = (version: Version) => String(version.number ?? version.digest.slice(0, 8));

/** What a version is besides: published, has a share or labels. */
export function what(version: Version): string {
  const said = version.current ? ["published"] : [];
  if (version.share) said.push(`${version.share} % of new starts`);
  return [...said, ...version.labels.map((label) => `@${label}`)].join(", ");
}
