import { createHash } from 'node:crypto';

import { formatBytes } from '../cli/amounts';
import { encodePath } from './request-path';
import type { ListedEntry, ListingPage } from './listings';

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0 auto; padding: 1rem; max-width: 60rem }
h1 { font-size: 1.2rem; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse }
th, td { padding: .35rem .5rem; text-align: left; border-bottom: 1px solid #8884 }
td:first-child { overflow-wrap: anywhere }
th + th, td + td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
a { text-decoration: none }
a:hover { text-decoration: underline }
@media (max-width: 36rem) { th:nth-child(3), td:nth-child(3) { display: none } }
`;

/** Nothing on a listing is active: neither a script nor anything from elsewhere. */
export const listingPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The query that leads to the next page. */
export function nextQuery(next: string): string {
  return `?after=${encodeURIComponent(next)}`;
}

/** A listing for people: folders first, sizes in decimal units, dates in UTC. */
export function listingPage(path: string, { entries, next }: ListingPage, isTop: boolean): string {
  const folders = entries.filter(({ type }) => type === 'directory');
  const files = entries.filter(({ type }) => type === 'file');
  const rows = [...folders, ...files].map(row).join('\n');
  const title = escape(path);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<h1>${title}</h1>
<table>
<thead><tr><th>Name</th><th>Size</th><th>Date</th></tr></thead>
<tbody>
${isTop ? '' : '<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n'}${rows}
</tbody>
</table>
${next === undefined ? '' : `<p><a rel="next" href="${escape(nextQuery(next))}">More</a></p>\n`}</body>
</html>
`;
}

function row({ name, type, size, lastModified }: ListedEntry): string {
  const shown = type === 'directory' ? `${name}/` : name;
  const date = lastModified?.toISOString().slice(0, 16).replace('T', ' ') ?? '';
  const amount = size === null ? '' : formatBytes(size);
  // Without the dot a name with a colon would be read as a scheme.
  return `<tr><td><a href="./${escape(encodePath(shown))}">${escape(shown)}</a></td><td>${amount}</td><td>${date}</td></tr>`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
