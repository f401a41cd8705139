/** One instruction of a Dockerfile, with the lines that continue it. */
export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Reads a Dockerfile: comments, continued lines and instructions. */
export function readDockerfile(text: string): Instruction[] {
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [name = '', ...rest] = line.trim().split(' ');
    return { name, rest: rest.join(' ') };
  });
}

/** The files and folders that are copied from the checkout. */
export function copiedSources(instructions: readonly Instruction[]): string[] {
  return of(instructions, 'COPY')
    .filter((rest) => !rest.startsWith('--from='))
    .flatMap((rest) => rest.split(' ').slice(0, -1));
}

/** The arguments of an instruction in JSON form, such as ENTRYPOINT; of HEALTHCHECK, those after CMD. */
export function jsonForm(instructions: readonly Instruction[], name: string): string[] {
  const [rest = '[]'] = of(instructions, name);
  return JSON.parse(rest.slice(rest.indexOf('['))) as string[];
}

/** What follows each instruction of a name. */
export function of(instructions: readonly Instruction[], name: string): string[] {
  return instructions.filter((each) => each.name === name).map(({ rest }) => rest);
}
