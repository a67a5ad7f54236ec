/** Say a span of time in words: 7 s, 3 min 05 s, 2 h 07 min, 3 d 04 h. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const units: readonly (readonly [number, string])[] = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = units.findIndex(([size]) => whole >= size);
  if (first < 0 || first === units.length - 1) {
    return `${whole} s`;
  }
  const [[large, name], [small, below]] = units.slice(first, first + 2) as [[number, string], [number, string]];
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${name} ${String(rest).padStart(2, '0')} ${below}`;
}
