import Table from 'cli-table3';

/** How a command was asked to print. */
export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'dim' | 'bold';

const codes: Readonly<Record<Colour, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34 };

/**
 * What a command prints: what it was asked for goes to stdout, all else to stderr. With `--json` stdout holds JSON and
 * nothing else; `--quiet` leaves out what nobody has asked for.
 */
export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Nobody reads stdout any more, as after `| head`. */
  closed = false;
  /** Takes lines for stderr while bars are drawn there. */
  above: ((line: string) => void) | undefined;

  constructor({ json = false, quiet = false }: OutputOptions = {}) {
    this.json = json;
    this.quiet = quiet;
    process.stdout.on('error', () => {
      this.closed = true;
    });
  }

  /** A result: JSON as one document, or lines for people. */
  result(value: unknown, lines: () => readonly string[]): void {
    if (this.json) this.stdout(JSON.stringify(value, null, 2));
    else for (const line of lines()) this.stdout(line);
  }

  /** One line of a stream. Resolves when there is room for the next. */
  async item(value: unknown, line: () => string): Promise<void> {
    const roomLeft = this.stdout(this.json ? JSON.stringify(value) : line());
    if (roomLeft || this.closed) return;
    await new Promise<void>((resolve) => {
      const resume = () => {
        process.stdout.off('drain', resume).off('error', resume).off('close', resume);
        resolve();
      };
      process.stdout.on('drain', resume).on('error', resume).on('close', resume);
    });
  }

  /** Something that was done, for people: not with `--json`, nor with `--quiet`. */
  done(line: string): void {
    if (!this.json && !this.quiet) this.stdout(line);
  }

  /** Something on the way to the result, for people, on stderr. */
  note(line: string): void {
    if (!this.quiet) this.warn(line);
  }

  /** What people have to see, also with `--quiet`. */
  warn(line: string): void {
    if (this.above) this.above(printable(line));
    else process.stderr.write(`${printable(line)}\n`);
  }

  /** Rows in columns, with a heading. */
  table(heading: readonly string[], rows: readonly (readonly string[])[]): string[] {
    const table = new Table({
      head: heading.map((title) => this.paint('bold', title)),
      chars: borderless,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    });
    table.push(...rows.map((row) => row.map(printable)));
    return table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd());
  }

  /** Names with values below each other. */
  pairs(pairs: readonly (readonly [name: string, value: string | number | null | undefined])[]): string[] {
    const shown = pairs.filter(([, value]) => value !== undefined);
    const width = Math.max(...shown.map(([name]) => name.length));
    return shown.map(
      ([name, value]) => `${this.paint('bold', name.padEnd(width))}  ${value === null ? '-' : String(value)}`,
    );
  }

  /** Colours where stdout is a terminal that has them, and `NO_COLOR` is not set. */
  paint(colour: Colour, text: string): string {
    const colours = process.stdout.isTTY && !process.env.NO_COLOR && process.stdout.hasColors();
    return colours ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
  }

  private stdout(text: string): boolean {
    if (this.closed) return true;
    return process.stdout.write(`${this.json ? text : printable(text)}\n`);
  }
}

const borderless = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** What comes from upstream may not steer the terminal: of control sequences, only colours pass. */
export function printable(text: string): string {
  return text.replace(/\u001b(?!\[[\d;]*m)|[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/g, '\ufffd');
}
