/** A moment in the time zone of who reads it, to the second. */
export function formatDate(date: Date | string | null): string | null {
  if (date === null) return null;
  const moment = new Date(date);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join('-');
  return `${day} ${[moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(':')}`;
}
