/** What a PromQL expression names (https://prometheus.io/docs/prometheus/latest/querying/basics/). */
export interface Named {
  readonly metrics: readonly string[];
  /** In selectors, and where series are grouped or joined. */
  readonly labels: readonly string[];
}

const operators: ReadonlySet<string> = new Set(['and', 'or', 'unless', 'bool', 'offset']);

/** Reads the names out of an expression: what is neither a label, a function, an operator nor a number is a metric. */
export function namesIn(expression: string): Named {
  const labels: string[] = [];
  const withoutLabels = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\{([^}]*)\}/g, (_, matchers: string) => {
      labels.push(...[...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label));
      return '';
    })
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, list: string) => {
      labels.push(...list.split(',').map((label) => label.trim()));
      return '';
    })
    .replace(/\[[^\]]*\]/g, '');
  const metrics = [...withoutLabels.matchAll(/\b([a-zA-Z_:][\w:]*)\b(?!\s*\()/g)].map(([, name = '']) => name);
  return { metrics: metrics.filter((name) => !operators.has(name)), labels };
}
