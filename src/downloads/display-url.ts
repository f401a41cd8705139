/** A url as it may be shown: without user name and password, which a url from upstream's metadata may hold. */
export function displayUrl(url: string | URL): string {
  const text = typeof url === 'string' ? url : url.href;
  // Spaces and control characters before a url, and tabs and line breaks anywhere in it, are passed over where it is parsed.
  const parsed = text.replace(/^[\u0000-\u0020]+|[\t\n\r]+/g, '');
  return parsed.slice(0, 2048).replace(/^([a-z][a-z0-9+.-]*:[/\\]*|[/\\]{2,})?[^/?#\\]*@/i, '$1');
}

/** Where a redirect led to, as it may be shown: the query of such a url is often a signature that grants access. */
export function displayTarget(url: URL): string {
  return displayUrl(`${url.protocol}//${url.host}${url.pathname}`);
}
