import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(__dirname, '..', '..');

/** A Markdown file of the project. */
export class Markdown {
  private readonly text: string;

  constructor(readonly path: string) {
    this.text = readFileSync(join(root, path), 'utf8');
  }

  /** The code blocks of a language. */
  blocks(language: string): string[] {
    return [...this.text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].flatMap(([, name, code = '']) =>
      name === language ? [code] : [],
    );
  }

  /** The commands of Penstock in its shell blocks, without comments. */
  commands(): string[][] {
    return this.blocks('sh')
      .flatMap((block) => block.split('\n'))
      .flatMap((line) => /^npx penstock (.*?)( +#.*)?$/.exec(line)?.[1] ?? [])
      .map((words) => words.split(' '));
  }

  /** What the first column of its tables names in capitals, as environment variables are. */
  variables(): string[] {
    const cells = this.text.split('\n').flatMap((line) => /^\| (`[^|]*`) *\|/.exec(line)?.[1] ?? []);
    return cells.flatMap((cell) => [...cell.matchAll(/`([A-Z][A-Z_]+\*?)`/g)].map(([, name = '']) => name));
  }

  /** Where its links lead, within the project. */
  links(): string[] {
    const prose = this.text.replace(/^```[^]*?^```$/gm, '');
    return [...prose.matchAll(/\]\(([^)#]+)/g)]
      .map(([, target = '']) => target)
      .filter((link) => !link.includes('://'));
  }
}
