"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const parse = (id) => (($(id) || {}).textContent ? JSON.parse($(id).textContent) : null);
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  // ---- theme: follows the system until one chooses ----
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("fastdup_db-theme"); } catch { return null; } };
  if (stored()) root.dataset.theme = stored();
  const toggleTheme = () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("fastdup_db-theme", root.dataset.theme); } catch { /* private window: not remembered */ }
  };
  $("theme")?.addEventListener("click", toggleTheme);

  // ---- an image shown twice is inlined once ----
  const firsts = new Map();
  const fillCopies = (among) => {
    for (const card of among) {
      for (const img of card.querySelectorAll("img[src]")) firsts.set(img.parentNode.dataset.id, img.src);
      for (const img of card.querySelectorAll("img[data-same]:not([src])")) img.src = firsts.get(img.dataset.same);
    }
  };

  const grid = $("cards");
  const cards = [...document.querySelectorAll(".card")];
  const idsOf = (card) => [...card.querySelectorAll(".shot")].map((s) => s.dataset.id);
  let order = cards.slice();
  fillCopies(cards);

  // ---- the cards that wait as text: made while the browser is idle, at the latest when all are needed ----
  const later = [...document.querySelectorAll("script.later")];
  const grow = () => {
    const text = later.shift(), from = grid.children.length;
    grid.insertAdjacentHTML("beforeend", text.textContent);
    text.remove();
    const made = [...grid.children].slice(from);
    fillCopies(made);
    cards.push(...made);
    order.push(...made);
  };
  const growAll = () => { while (later.length) grow(); };
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 30));
  const growWhenIdle = () => { if (later.length) { grow(); idle(growWhenIdle); } };
  if (later.length) addEventListener("load", () => idle(growWhenIdle));
  const visible = () => { growAll(); return order.filter((card) => !card.hidden); };

  // ---- all columns of a row, read when first asked for ----
  let table = null;
  const rows = () => {
    if (table) return table;
    const raw = parse("rows") || { columns: [], data: [] };
    const at = raw.columns.indexOf("index");
    table = { columns: raw.columns, at: new Map(raw.columns.map((c, i) => [c.toLowerCase(), i])),
      byId: new Map(raw.data.map((r) => [String(r[at]), r])) };
    return table;
  };
  let imageTable = null;
  const image = (id) => {
    imageTable = imageTable || parse("images") || {};
    const [path, full, width, height, points] = imageTable[id] || ["", "", 0, 0, ""];
    return { path, full, width, height, points };
  };
  const show = (value) => value === null || value === undefined ? "–"
    : typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toFixed(4))) : Array.isArray(value) ? value.join(", ") : String(value);

  // ---- filter ----
  const texts = new Map();
  const textOf = (card) => {
    if (!texts.has(card)) {
      const parts = [card.textContent];
      for (const id of idsOf(card)) parts.push(image(id).path, ...(rows().byId.get(id) || []).map(show));
      texts.set(card, parts.join("\n").toLowerCase());
    }
    return texts.get(card);
  };
  const fieldsOf = (card) => [...card.querySelectorAll(".fields > div")].map((d) => [d.firstElementChild.textContent, d.lastElementChild.dataset.v, d.lastElementChild.classList.contains("num")]);
  const valuesOf = (card, name) => {
    const own = fieldsOf(card).filter(([n]) => n.toLowerCase() === name).map(([, v]) => v);
    if (own.length) return own;
    const at = rows().at.get(name);
    return at === undefined ? [] : idsOf(card).map((id) => rows().byId.get(id)?.[at]).filter((v) => v !== null && v !== undefined);
  };
  let fieldNames = null;
  const isColumn = (name) => {
    fieldNames = fieldNames || new Set(cards.flatMap((card) => fieldsOf(card).map(([n]) => n.toLowerCase())));
    return rows().at.has(name) || fieldNames.has(name);
  };
  // ids of 64 bits come as text: as numbers, neighbours would be equal
  const equal = (value, text) => Number.isInteger(Number(text)) && !Number.isSafeInteger(Number(text)) ? String(value) === text : Number(value) === Number(text);
  const compare = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b };
  const condition = (word) => {
    const not = word.length > 1 && word.startsWith("-");
    const said = not ? word.slice(1) : word;
    const body = said.replaceAll('"', "");
    const quoted = /^"[^"]*"$/.test(said);
    const column = (found) => !quoted && found && isColumn(found[1]) ? found : null;
    const number = column(body.match(/^([^<>=:]+)(<=|>=|<|>|=)(-?[\d.]+(?:e[+-]?\d+)?)$/));
    const named = column(body.match(/^([^<>=:\/]+):(.+)$/));
    const test = number ? (card) => valuesOf(card, number[1]).some((v) => v !== "" && (number[2] === "=" ? equal(v, number[3]) : compare[number[2]](Number(v), Number(number[3]))))
      : named ? (card) => valuesOf(card, named[1]).some((v) => String(v).toLowerCase().includes(named[2]))
      : (card) => textOf(card).includes(body);
    return not ? (card) => !test(card) : test;
  };
  const filter = () => {
    growAll();
    const words = ($("filter").value.toLowerCase().match(/(?:[^\s"]+|"[^"]*")+/g) || []).map(condition);
    let n = 0;
    for (const card of cards) {
      card.hidden = !words.every((holds) => holds(card));
      n += !card.hidden;
    }
    $("count").textContent = n === cards.length ? `${n.toLocaleString("en")} shown` : `${n.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
    $("none").hidden = n > 0;
  };

  // ---- sort ----
  let reversed = false;
  const sort = () => {
    growAll();
    const name = $("sort").value;
    order = cards.slice();
    if (name) {
      const keys = new Map(cards.map((card) => [card, (fieldsOf(card).find(([n]) => n === name) || [])[1] ?? ""]));
      const numeric = [...keys.values()].every((v) => v === "" || !Number.isNaN(Number(v)));
      order.sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        return (reversed ? -1 : 1) * (numeric ? Number(x) - Number(y) : x.localeCompare(y, "en"));
      });
    } else if (reversed) order.reverse();
    grid.append(...order);
  };

  if (grid) {
    let timer = 0;
    $("filter").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, cards.length > 2000 ? 150 : 0); });
    $("clear").addEventListener("click", () => { $("filter").value = ""; filter(); $("filter").focus(); });
    $("sort").addEventListener("change", sort);
    $("direction").addEventListener("click", () => { reversed = !reversed; $("direction").textContent = reversed ? "↓" : "↑"; sort(); });
    $("size").addEventListener("input", () => grid.style.setProperty("--zoom", $("size").value));
    $("help").addEventListener("click", () => $("keys").showModal());
  }
  document.addEventListener("click", (event) => {
    const shot = event.target.closest(".shot");
    if (shot) open(shot.closest(".card"), Number(shot.dataset.shot));
  });

  // ---- the viewer ----
  const viewer = $("viewer");
  let current = null, chosen = 0, mode = "one", blink = 0, mix = 50;
  const open = (card, shot) => {
    const many = card.querySelectorAll(".shot").length > 1;
    current = card;
    chosen = shot;
    if (!many) mode = "one";
    else if (mode === "one" && card.querySelectorAll(".shot").length === 2) mode = "side";
    if (!viewer.open) {
      viewer.showModal();
      viewer.querySelector(".viewer").focus();  // the keys at once, not the first button
    }
    draw();
  };
  const others = () => { const n = idsOf(current).length; return chosen > 0 ? [0, chosen] : [0, Math.min(1, n - 1)]; };
  const pane = (index) => {
    const shot = current.querySelectorAll(".shot")[index], info = image(shot.dataset.id), node = make("div", "pane");
    const small = shot.querySelector("img");
    if (!small) { node.append(make("span", "placeholder", "image not available")); return node; }
    if (shot.classList.contains("small")) node.classList.add("small");
    const img = make("img");
    img.alt = small.alt;
    img.src = small.src;
    // the original lies on this machine: show it once it has loaded, keep the thumbnail if it never does
    if (info.full && location.protocol === "file:") {
      const original = new Image();
      original.onload = () => {
        // what a picture lets through is white, as it is for the run and in the thumbnail
        const sheet = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${original.naturalWidth} ${original.naturalHeight}"><rect width="100%" height="100%" fill="white"/></svg>`;
        if (/\.(png|webp|gif|avif)$/i.test(info.full)) img.style.background = `center / contain no-repeat url("data:image/svg+xml,${encodeURIComponent(sheet)}")`;
        img.src = original.src;
      };
      original.src = info.full;
    }
    node.append(img);
    if (info.points) node.append(shot.querySelector("svg").cloneNode(true));
    node.append(make("span", "tag", small.alt));
    return node;
  };
  // ---- a verified pair: the second picture on the first, by the transform found ----
  const times = (p, q) => [0, 3, 6].flatMap((r) => [0, 1, 2].map((c) => p[r] * q[c] + p[r + 1] * q[c + 3] + p[r + 2] * q[c + 6]));
  const inverse = ([a, b, c, d, e, f, g, h, i]) => {
    const m = [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
    return m.map((v) => v / m[8]); // of any scale: here such that the divisor is 1 at the upper left edge
  };
  const cornersOf = (m, { width, height }) => [[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) => {
    const w = m[6] * x + m[7] * y + m[8];
    return [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w, w];
  });
  const align = () => {
    const numbers = viewer.open && current?.dataset.transform;
    if (!numbers || mode === "one" || mode === "side") return;
    const stage = $("stage"), imgs = [...stage.querySelectorAll(".pane img")];
    const infos = others().map((k) => image(idsOf(current)[k]));
    // where a box is drawn the whole image is shown, and the transform is between the boxes
    if (imgs.length < 2 || infos.some((info) => !info.width || info.points)) return;
    const one = [1, 0, 0, 0, 1, 0, 0, 0, 1], back = inverse([...numbers.split(" ").map(Number), 1]);
    const corners = [...cornersOf(one, infos[0]), ...cornersOf(back, infos[1])];
    if (!corners.flat().every(Number.isFinite) || corners.some(([, , w]) => w <= 0)) return;
    const [xs, ys] = [0, 1].map((k) => corners.map((corner) => corner[k]));
    const left = Math.min(...xs), top = Math.min(...ys), wide = Math.max(...xs) - left, high = Math.max(...ys) - top;
    const box = stage.getBoundingClientRect(), scale = Math.min(box.width / wide, box.height / high);
    const view = [scale, 0, (box.width - scale * wide) / 2 - scale * left, 0, scale, (box.height - scale * high) / 2 - scale * top, 0, 0, 1];
    [one, back].forEach((m, k) => {
      const { width, height } = infos[k], small = Math.min(box.width / width, box.height / height), style = imgs[k].style;
      const [a, b, c, d, e, f, g, h, i] = times(times(view, m), [1 / small, 0, 0, 0, 1 / small, 0, 0, 0, 1]);
      Object.assign(style, { inset: "0 auto auto 0", width: `${width * small}px`, height: `${height * small}px`, objectFit: "fill", transformOrigin: "0 0" });
      style.transform = `matrix3d(${[a, d, 0, g, b, e, 0, h, 0, 0, 1, 0, c, f, 0, i].join(",")})`;
    });
  };
  addEventListener("resize", align);
  const applyMix = () => {
    const stage = $("stage"), top = stage.querySelectorAll(".pane")[1];
    if (!top) return;
    if (mode === "slider") {
      top.style.clipPath = `inset(0 0 0 ${mix}%)`;
      stage.querySelector(".divider").style.left = `${mix}%`;
    } else if (mode === "overlay") top.style.opacity = mix / 100;
  };
  const draw = () => {
    clearInterval(blink);
    const ids = idsOf(current), stage = $("stage"), seen = visible(), many = ids.length > 1;
    $("vtitle").textContent = $("vtitle").title = current.getAttribute("aria-label");
    $("vplace").textContent = seen.includes(current) ? `${(seen.indexOf(current) + 1).toLocaleString("en")} of ${seen.length.toLocaleString("en")}` : "";
    $("modes").hidden = !many;
    for (const b of $("modes").children) b.setAttribute("aria-pressed", b.dataset.mode === mode);
    const pair = mode === "one" ? [chosen] : others();
    stage.className = `stage ${mode === "one" || mode === "side" ? "" : "stack"} ${mode}`;
    stage.replaceChildren(...pair.map(pane));
    $("mix").hidden = mode !== "slider" && mode !== "overlay";
    $("mixname").textContent = mode === "slider" ? "Divide" : "Blend";
    $("mixrange").value = mix;
    if (mode === "slider") stage.append(make("span", "divider"));
    applyMix();
    align();
    if (mode === "blink") {
      const top = stage.querySelectorAll(".pane")[1];
      blink = setInterval(() => { top.style.visibility = top.style.visibility === "hidden" ? "" : "hidden"; }, 650);
    }
    $("strip").replaceChildren(...(ids.length > 2 ? ids.map((id, i) => {
      const b = make("button"), from = current.querySelectorAll(".shot")[i].querySelector("img");
      b.type = "button";
      b.setAttribute("aria-pressed", pair.includes(i));
      if (from) { const img = make("img"); img.src = from.src; img.alt = from.alt; b.append(img); } else b.textContent = "missing";
      b.addEventListener("click", () => { chosen = i; draw(); });
      return b;
    }) : []));
    drawSide(pair.map((i) => ids[i]));
  };
  const drawSide = (ids) => {
    const side = $("side"), body = make("tbody"), all = rows();
    side.replaceChildren();
    for (const [name, value, isNumber] of fieldsOf(current)) {
      const tr = make("tr"), td = make("td", "", value === "" ? "–" : isNumber ? show(Number(value)) : value);
      td.colSpan = ids.length;
      tr.append(make("th", "", name), td);
      body.append(tr);
    }
    for (const id of ids) {
      const line = make("p", "path"), copy = make("button", "", "Copy path");
      copy.type = "button";
      copy.addEventListener("click", () => copyText(image(id).path));
      line.append(make("span", "", image(id).path), copy);
      side.append(line);
    }
    const found = ids.map((id) => all.byId.get(id));
    const size = ids.map((id) => image(id)).map((i) => (i.width ? `${i.width} × ${i.height}` : null));
    const line = (name, values) => {
      const tr = make("tr", ids.length > 1 && String(values[0]) !== String(values[1]) ? "differs" : "");
      tr.append(make("th", "", name), ...values.map((v) => make("td", "", show(v))));
      body.append(tr);
    };
    line("pixels", size);
    all.columns.forEach((name, i) => { if (name !== "filename") line(name, found.map((row) => row?.[i])); });
    const sheet = make("table");
    sheet.append(body);
    side.append(sheet);
  };
  const toast = (text) => {
    $("toast")?.remove();
    const node = make("div", "", text);
    node.id = "toast";
    node.setAttribute("role", "status");
    (viewer.open ? viewer : document.body).append(node);
    setTimeout(() => node.remove(), 1600);
  };
  const copyText = async (text) => {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = make("textarea");
      area.value = text;
      (viewer.open ? viewer : document.body).append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    toast("Path copied");
  };
  const step = (by) => {
    const seen = visible(), next = seen[seen.indexOf(current) + by];
    if (next) { open(next, 0); }
  };
  const setMode = (name) => { if (idsOf(current).length > 1) { mode = name; draw(); } };
  $("modes").addEventListener("click", (event) => { if (event.target.dataset.mode) setMode(event.target.dataset.mode); });
  $("mixrange").addEventListener("input", () => { mix = Number($("mixrange").value); applyMix(); });
  $("stage").addEventListener("pointermove", (event) => {
    if (mode !== "slider") return;
    const box = $("stage").getBoundingClientRect();
    mix = Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width));
    $("mixrange").value = mix;
    applyMix();
  });
  $("prev").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => {
    clearInterval(blink);
    const card = current;
    card?.focus({ preventScroll: true });
    card?.scrollIntoView({ block: "nearest" });
  });

  // ---- keyboard ----
  const modes = ["one", "side", "slider", "blink", "overlay", "difference"];
  const perRow = () => {
    const seen = visible(), top = seen[0]?.offsetTop, other = seen.findIndex((c) => c.offsetTop !== top);
    return other < 1 ? seen.length || 1 : other;
  };
  const move = (by) => {
    const seen = visible(), at = seen.indexOf(document.activeElement.closest?.(".card"));
    const next = seen[at < 0 ? 0 : Math.max(0, Math.min(seen.length - 1, at + by))];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    const typing = event.target.matches?.("input[type=search], select, textarea");
    if (event.target === $("filter") && event.key === "Escape") {
      if ($("filter").value) { $("filter").value = ""; filter(); } else $("filter").blur();
      event.preventDefault();
    }
    if (typing || (event.target.matches?.("input[type=range]") && event.key.startsWith("Arrow"))) return;
    let used = true;
    if (event.key === "t") toggleTheme();
    else if (viewer.open) {
      const ids = idsOf(current);
      if (event.key === "ArrowLeft" || event.key === "ArrowUp") step(-1);
      else if (event.key === "ArrowRight" || event.key === "ArrowDown") step(1);
      else if (event.key === "]") { chosen = (chosen + 1) % ids.length; draw(); }
      else if (event.key === "[") { chosen = (chosen + ids.length - 1) % ids.length; draw(); }
      else if (event.key === "c") copyText(ids.filter((_, i) => (mode === "one" ? i === chosen : others().includes(i))).map((id) => image(id).path).join("\n"));
      else if (/^[1-6]$/.test(event.key)) setMode(modes[event.key - 1]);
      else used = false;
    } else if (event.key === "/" && grid) { $("filter").focus(); $("filter").select(); }
    else if (event.key === "?") $("keys").showModal();
    else if (event.key === "ArrowLeft") move(-1);
    else if (event.key === "ArrowRight") move(1);
    else if (event.key === "ArrowUp") move(-perRow());
    else if (event.key === "ArrowDown") move(perRow());
    else if (event.key === "Enter" && event.target.matches?.(".card")) open(event.target, 0);
    else if (event.key === "c" && event.target.closest?.(".card")) copyText(idsOf(event.target.closest(".card")).map((id) => image(id).path).join("\n"));
    else used = false;
    if (used) event.preventDefault();
  });
})();
