// Everything that was asked for, newest first: the lists of measurements, questions and series as one.

const PAGE = 12;
const LISTS = [
  ["job", "/erf", "jobs"],
  ["tiles", "/tiles", "jobs"],
  ["fit", "/fit", "jobs"],
  ["advice", "/advice", "jobs"],
  ["series", "/series", "series"],
];

// `get` reads a path. Returns { next, isOver }: `next` gives the following page of { kind, work }.
export function feed(get) {
  const lists = LISTS.map(([kind, path, field]) => ({ kind, path, field, waiting: [], token: null, isRead: false }));

  async function fill(list) {
    while (!list.waiting.length && !list.isRead) {
      const after = list.token ? `&page_token=${encodeURIComponent(list.token)}` : "";
      const page = await get(`${list.path}?page_size=${PAGE}${after}`);
      list.waiting = page[list.field].map((work) => ({ kind: list.kind, work, at: Date.parse(work.created_at) }));
      list.token = page.next_page_token;
      list.isRead = !list.token;
    }
  }

  async function next() {
    const taken = [];
    while (taken.length < PAGE) {
      await Promise.all(lists.map(fill));
      const [newest] = lists.filter(({ waiting }) => waiting.length).sort((a, b) => b.waiting[0].at - a.waiting[0].at);
      if (!newest) break;
      taken.push(newest.waiting.shift());
    }
    return taken;
  }

  const isOver = () => lists.every(({ waiting, isRead }) => isRead && !waiting.length);
  return { next, isOver };
}
