/** Bounds the bytes that are in memory at once; who asks first is served first. */
export class ByteBudget {
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #free: number;

  constructor(private readonly total: number) {
    this.#free = total;
  }

  /** Waits until there is room for some bytes, and works. What needs more than all waits until it is alone. */
  async spend<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const share = Math.min(bytes, this.total);
    if (share > this.#free || this.#waiting.length > 0) {
      await new Promise<void>((begin) => {
        this.#waiting.push({ bytes: share, begin });
      });
    } else {
      this.#free -= share;
    }
    try {
      return await work();
    } finally {
      this.#free += share;
      this.#admit();
    }
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next && next.bytes <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.bytes;
      next.begin();
    }
  }
}
