"use strict";
// The page is whole without this script. It shows one sheet at a time, sorts and filters tables, draws the tables that stand in the
// page as data, and copies commands. It loads nothing and stores nothing; text from a journal only ever becomes text.
{
  const root = document.documentElement;
  const ROWS_AT_ONCE = 100;

  /** An element with properties or attributes; strings among its children become text, never markup. */
  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const said = element("p", { className: "unseen", role: "status" });
  document.body.append(said);
  function say(words) {
    said.textContent = words;
  }

  // ---- Numbers, as dsabench.reports.quantities writes them

  function significant(value, digits = 3) {
    if (value === 0 || !Number.isFinite(value)) return String(value);
    const rounded = Number(value.toExponential(digits - 1));
    return rounded.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(rounded)))));
  }

  const TIME_UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];
  function timeUnit(seconds) {
    return TIME_UNITS.find(([size]) => Number(Math.abs(seconds).toExponential(2)) >= size) ?? TIME_UNITS.at(-1);
  }

  const FORMATS = {
    text: (value) => value,
    status: (value) => value,
    count: (value) => String(value),
    size(value) {
      if (value >= 1 << 20 && value % (1 << 20) === 0) return `${value / (1 << 20)}m`;
      return value >= 1024 && value % 1024 === 0 ? `${value / 1024}k` : String(value);
    },
    seconds(value) {
      const [size, name] = timeUnit(value);
      return `${significant(value / size)} ${name}`;
    },
    share: (value) => (value >= 0.0995 ? `${(100 * value).toFixed(0)} %` : `${significant(100 * value, 2)} %`),
  };

  // ---- Copying

  async function copy(text, shown) {
    try {
      await navigator.clipboard.writeText(text);
      return "copied";
    } catch {
      // Refused or not there: the text is selected instead, and copied the old way where that still works.
      const details = shown.closest("details");
      if (details) details.open = true;
      getSelection().selectAllChildren(shown);
      return document.execCommand("copy") ? "copied" : "selected: copy it with Ctrl+C";
    }
  }

  for (const shown of document.querySelectorAll("pre")) {
    const button = element("button", { type: "button", className: "copy" }, "copy");
    const name = shown.getAttribute("aria-label");
    button.setAttribute("aria-label", name ? `Copy: ${name}` : "Copy");
    button.addEventListener("click", async () => {
      const outcome = await copy(shown.textContent, shown);
      button.textContent = outcome === "copied" ? "copied" : "selected";
      say(outcome);
      setTimeout(() => (button.textContent = "copy"), 2000);
    });
    (shown.closest("details.command") ?? shown).before(button);
  }

  // ---- Tables: sorting and filtering, whatever the rows come from

  const collator = new Intl.Collator(undefined, { numeric: true });

  /** Numbers before texts; what is missing comes last, in whichever direction. */
  function compare(a, b, direction) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return direction * (typeof a === "number" ? a - b : collator.compare(a, b));
  }

  /**
   * Puts buttons into a table's heads and a line of controls above it. `columns`: {head, label}, one each; `filters`: {label, of(unit)},
   * lists of values to choose from; `units`: {keys: one a column, text(): what is searched}; `draw(units, sorted)` shows them.
   */
  function control({ name, region, columns, filters, units, draw, files }) {
    let sorted = null;
    const tools = element("div", { className: "tools", role: "group", "aria-label": `Controls: ${name}` });
    const box = element("input", { type: "search", autocomplete: "off", spellcheck: false });
    const count = element("span", { className: "count" });
    const choices = [];

    function found() {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kept = units.filter(
        (unit) =>
          choices.every(({ list, values, of }) => list.selectedIndex < 1 || of(unit) === values[list.selectedIndex - 1]) &&
          words.every((word) => unit.text().includes(word)),
      );
      if (sorted) {
        const { column, direction } = sorted;
        kept.sort((a, b) => compare(a.keys[column], b.keys[column], direction));
      }
      return kept;
    }

    function apply() {
      const kept = found();
      draw(kept, sorted !== null);
      count.textContent = kept.length < units.length ? `${kept.length} of ${units.length} rows` : `${units.length} rows`;
    }

    function narrow() {
      apply();
      say(count.textContent);
    }

    function sort(column) {
      const now = sorted?.column === column ? sorted.direction : 0;
      sorted = now < 0 ? null : { column, direction: now ? -1 : 1 };
      columns.forEach(({ head }, at) => {
        if (head.firstElementChild?.classList.contains("sort")) {
          head.ariaSort = sorted?.column !== at ? "none" : sorted.direction > 0 ? "ascending" : "descending";
        }
      });
      apply();
      say(sorted ? `sorted by ${columns[column].label}, ${columns[column].head.ariaSort}` : "in the original order");
    }

    columns.forEach(({ head, plain }, column) => {
      if (plain) return;
      const button = element("button", { type: "button", className: "sort" }, ...head.childNodes);
      button.addEventListener("click", () => sort(column));
      head.ariaSort = "none";
      head.append(button);
    });

    if (units.length >= 8 || files) {
      tools.append(element("label", {}, "filter ", box));
      box.addEventListener("input", narrow);
      for (const { label, of, order } of filters) {
        const values = [...new Set(units.map(of))].filter((value) => value !== "");
        if (order) values.sort(order);
        if (values.length < 2) continue;
        const list = element("select", {}, element("option", {}, "all"), ...values.map((value) => element("option", {}, value)));
        list.addEventListener("change", narrow);
        choices.push({ list, values, of });
        tools.append(element("label", {}, `${label} `, list));
      }
      tools.append(count);
      for (const [kind, make] of Object.entries(files ?? {})) {
        const button = element("button", { type: "button", className: "file" }, kind);
        button.setAttribute("aria-label", `Save these rows as ${kind}: ${name}`);
        button.addEventListener("click", () => make(found()));
        tools.append(button);
      }
      region.before(tools);
    }
    apply();
  }

  // ---- Tables that stand in the page

  function keyOf(cell) {
    if (!cell || cell.colSpan > 1) return null;
    if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  }

  function wordsOf(row, group) {
    const words = row.textContent;
    const command = row.querySelector(".command")?.textContent;
    return `${group} ${command ? words.replace(command, "") : words}`.toLowerCase();
  }

  /** Rows of class `hole` go with the row before them. Groups (a tbody with a heading row each) are dissolved while the table is
   * sorted: each row then names its group in a first column. */
  function standing(table) {
    const region = table.closest(".scroll") ?? table;
    const heads = [...table.tHead.rows[0].cells];
    const groups = [];
    const units = [];
    for (const body of table.tBodies) {
      const heading = body.querySelector("tr.op");
      const group = { body, heading, name: heading?.dataset.name ?? "" };
      groups.push(group);
      for (const row of body.rows) {
        if (row === heading) continue;
        if (row.classList.contains("hole") && units.length) {
          units.at(-1).rows.push(row);
          continue;
        }
        const cells = [];
        for (const cell of row.cells) for (let i = 0; i < cell.colSpan; i++) cells.push(cell);
        const text = wordsOf(row, group.name);
        units.push({ rows: [row], cells, group, keys: heads.map((_, at) => keyOf(cells[at])), text: () => text });
      }
    }
    if (units.length < 2) return;

    const flat = element("tbody");
    const filters = [];
    if (table.dataset.group) {
      table.append(flat);
      table.tHead.rows[0].prepend(element("th", { className: "group", scope: "col" }, table.dataset.group));
      for (const { rows, group } of units) {
        rows.forEach((row, at) => row.prepend(element("td", { className: "group" }, at ? "" : group.name)));
      }
      filters.push({ label: table.dataset.group, of: (unit) => unit.group.name });
    }
    heads.forEach((head, at) => {
      if (head.dataset.filter === undefined) return;
      const of = (unit) => unit.cells[at]?.dataset.key ?? unit.cells[at]?.textContent.trim() ?? "";
      filters.push({ label: head.textContent.trim(), of });
    });
    if (table.dataset.state) filters.push({ label: table.dataset.state, of: (unit) => unit.rows[0].dataset.state ?? "" });

    function draw(kept, sorted) {
      const shown = new Set(kept);
      for (const unit of units) for (const row of unit.rows) row.hidden = !shown.has(unit);
      const dissolved = sorted && table.dataset.group !== undefined;
      table.classList.toggle("flat", dissolved);
      for (const unit of sorted ? kept : units) (dissolved ? flat : unit.group.body).append(...unit.rows);
      for (const { body, heading } of groups) {
        if (heading) heading.hidden = dissolved || ![...body.rows].some((row) => row !== heading && !row.hidden);
      }
    }
    control({
      name: region.getAttribute("aria-label") ?? table.caption?.textContent.trim() ?? "table",
      region,
      columns: heads.map((head) => ({ head, label: head.textContent.trim(), plain: head.dataset.plain !== undefined })),
      filters,
      units,
      draw,
    });
  }

  // ---- Tables that stand in the page as data

  function save(name, kind, text) {
    const url = URL.createObjectURL(new Blob([text], { type: kind }));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  /** As dsabench.reports.spreadsheet: text that a spreadsheet would take for a formula gets an apostrophe. */
  function csvCell(value) {
    if (value === null) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function drawn(place) {
    const columns = JSON.parse(place.querySelector("script").textContent);
    const { name, file } = place.dataset;
    const byKey = Object.fromEntries(columns.map((column) => [column.key, column]));
    const seen = columns.filter((column) => !column.hidden);
    const value = (column, at) => (column.texts ? column.texts[column.rows[at]] : column.rows[at]);
    const write = (column, at) => {
      const raw = value(column, at);
      return raw === null || raw === "" ? "–" : FORMATS[column.kind](raw);
    };
    const units = columns[0].rows.map((_, at) => ({
      at,
      keys: seen.map((column) => {
        const key = value(column, at);
        return key === "" ? null : key;
      }),
      text() {
        return (this.words ??= columns.filter((c) => c.texts || !c.hidden).map((c) => write(c, at)).join(" ").toLowerCase());
      },
    }));

    const heads = seen.map((column) => element("th", { scope: "col" }, column.label));
    const body = element("tbody");
    const caption = element("caption", {}, element("span", {}, place.dataset.caption));
    const table = element("table", { className: "data drawn" }, caption, element("thead", {}, element("tr", {}, ...heads)), body);
    const region = element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": name }, table);
    const more = element("button", { type: "button", className: "more" });
    place.append(region, more);

    function cell(column, at) {
      const made = element(column === seen[0] ? "th" : "td", { className: `as-${column.kind} of-${column.key}` }, write(column, at));
      if (column === seen[0]) made.scope = "row";
      if (column.kind === "status") made.classList.add(made.textContent.toLowerCase());
      if (column.interval && value(column, at) !== null) {
        const [low, high] = column.interval.map((key) => value(byKey[key], at));
        const [size, unit] = timeUnit(value(column, at));
        made.append(element("small", {}, `${significant(low / size)}–${significant(high / size)} ${unit}`));
      }
      return made;
    }

    let rest = [];
    function next() {
      body.append(...rest.splice(0, ROWS_AT_ONCE).map(({ at }) => element("tr", {}, ...seen.map((column) => cell(column, at)))));
      more.hidden = rest.length === 0;
      more.textContent = `show ${Math.min(rest.length, ROWS_AT_ONCE)} more of ${rest.length}`;
    }
    more.addEventListener("click", next);

    const names = columns.map((column) => column.key);
    const plain = (at) => columns.map((column) => value(column, at));
    control({
      name,
      region,
      columns: seen.map((column, at) => ({ head: heads[at], label: column.label })),
      filters: seen
        .filter((column) => column.filter)
        .map((column) => ({
          label: column.label,
          of: (unit) => write(column, unit.at),
          order: column.texts ? undefined : collator.compare,
        })),
      units,
      draw(kept) {
        body.replaceChildren();
        rest = [...kept];
        next();
      },
      files: {
        CSV: (kept) => {
          const lines = [names, ...kept.map(({ at }) => plain(at))].map((cells) => cells.map(csvCell).join(","));
          save(`${file}.csv`, "text/csv", `${lines.join("\n")}\n`);
        },
        JSON: (kept) => {
          const rows = kept.map(({ at }) => Object.fromEntries(plain(at).map((cell, i) => [names[i], cell])));
          save(`${file}.json`, "application/json", `${JSON.stringify(rows, null, 1)}\n`);
        },
      },
    });
  }

  for (const table of document.querySelectorAll("table.data")) standing(table);
  for (const place of document.querySelectorAll(".drawn-here")) drawn(place);

  // ---- Light and dark, for as long as the page is open

  const wish = matchMedia("(prefers-color-scheme: dark)");
  const theme = element("button", { type: "button" }, "dark");
  function showTheme() {
    theme.ariaPressed = String(root.dataset.theme ? root.dataset.theme === "dark" : wish.matches);
  }
  theme.addEventListener("click", () => {
    root.dataset.theme = theme.ariaPressed === "true" ? "light" : "dark";
    showTheme();
  });
  wish.addEventListener("change", showTheme);
  showTheme();

  // ---- One sheet at a time

  const sheets = [...document.querySelectorAll("main > .sheet")];
  const nav = document.querySelector("nav.pages");
  const links = [...nav.querySelectorAll("a")];
  const everything = element("button", { type: "button", ariaPressed: "false" }, "show everything");
  let current = null;

  function show(sheet) {
    current = sheet;
    for (const each of sheets) {
      // A browser that can finds text in hidden sheets too, and opens the one it stands in.
      if (each === sheet || everything.ariaPressed === "true") each.removeAttribute("hidden");
      else each.setAttribute("hidden", "until-found");
    }
    for (const link of links) {
      if (link.hash === `#${sheet.id}`) {
        link.ariaCurrent = "page";
        nav.scrollLeft = link.offsetLeft - 40;
      } else link.removeAttribute("aria-current");
    }
  }

  function targetOf(hash) {
    try {
      return document.getElementById(decodeURIComponent(hash.slice(1)));
    } catch {
      return null; // no valid encoding: it leads nowhere
    }
  }

  /** Opens the sheet that the address names, or holds what it names, at the place where it was left. */
  function follow(state) {
    const target = targetOf(location.hash);
    const sheet = target?.closest(".sheet") ?? (target && current) ?? sheets[0];
    show(sheet);
    if (state?.y !== undefined) scrollTo(0, state.y);
    else if (target) target.scrollIntoView();
    else scrollTo(0, 0);
  }

  if (sheets.length > 1) {
    history.scrollRestoration = "manual";
    addEventListener("popstate", (event) => follow(event.state));
    addEventListener("hashchange", () => {
      // Only now: after the state the browser moves the focus to what the address names, which takes none.
      if (![null, current].includes(targetOf(location.hash))) return;
      const heading = current.querySelector("h2");
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    });
    document.addEventListener("click", (event) => {
      // Where one was on a sheet that is left, for the way back.
      if (event.target.closest?.('a[href^="#"]')) history.replaceState({ y: scrollY }, "");
    });
    // What is scrolled to must not come to lie under the line of links.
    new ResizeObserver(() => {
      const inTheWay = getComputedStyle(nav).top === "0px" && nav.offsetHeight < innerHeight / 2 ? nav.offsetHeight : 0;
      root.style.scrollPaddingTop = `${inTheWay + 8}px`;
    }).observe(nav);
    addEventListener("pagehide", () => history.replaceState({ y: scrollY }, ""));
    for (const sheet of sheets) sheet.addEventListener("beforematch", () => show(sheet));
    everything.addEventListener("click", () => {
      everything.ariaPressed = String(everything.ariaPressed !== "true");
      show(current);
      say(everything.ariaPressed === "true" ? "everything is shown" : "one part is shown");
    });
    follow(history.state);
  }
  const buttons = sheets.length > 1 ? [everything, theme] : [theme];
  document.querySelector("header.page").append(element("div", { className: "view", role: "group", "aria-label": "View" }, ...buttons));
}
