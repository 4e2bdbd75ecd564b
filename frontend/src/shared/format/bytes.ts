const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `size` bytes with three digits at most: `0 B`, `812 B`, `1.4 kB`, `20 MB`. */
export function bytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const text =
    unit === 0 || value >= 99.5 ? value.toFixed(0) : Number(value.toPrecision(2)).toString();
  return `${text} ${UNITS[unit]}`;
}
