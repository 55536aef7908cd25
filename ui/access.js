// Keeps the address that was asked for while a person signs in, and goes there afterwards.
// sessionStorage belongs to this tab and this site alone, and outlives the way to the provider and back.
const KEY = "weightscope.return";

export default function ({ data }) {
  const here = location.pathname + location.search;
  if (data.task === "keep") {
    sessionStorage.setItem(KEY, here);
    return;
  }
  const asked = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  if (asked && asked !== here && /^\/(?![/\\])/.test(asked)) location.replace(asked);
}
