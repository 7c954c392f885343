// What was dropped or chosen, as a list of { path, file }; folders with all that is in them.

const MOST = 2000; // files of a folder: a model's own are fewer

// To be called while the event is handled: what it holds is gone afterwards.
export function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  return Promise.all(entries.filter(Boolean).map((entry) => within(entry, ""))).then((found) => found.flat());
}

export const chosen = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

async function within(entry, folder) {
  const path = folder + entry.name;
  if (entry instanceof File) return [{ path, file: entry }];
  if (entry.isFile) return [{ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) }];
  const found = [];
  for (const inner of await all(entry.createReader())) {
    if (found.length >= MOST) break;
    found.push(...(await within(inner, `${path}/`)));
  }
  return found;
}

// A reader answers a hundred entries at a time, and none at the end.
async function all(reader) {
  const entries = [];
  for (;;) {
    const more = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!more.length || entries.length >= MOST) return entries;
    entries.push(...more);
  }
}
