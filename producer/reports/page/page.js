"use strict";
// Draws the charts, and gives each the switches of its series and the buttons that save it.
(() => {
  const { charts, themes, margin, spacing, least } = JSON.parse(document.getElementById("drawing").textContent);
  const FILE_WIDTH = 860;
  const drawn = {};
  window.breakeven = drawn;

  // A chart of one part follows the width of its container by itself; those of several are given a width.
  const isComposite = (spec) => "facet" in spec || "vconcat" in spec;
  const sized = (spec, width) => {
    if ("facet" in spec) {
      const room = width - margin;
      const fitting = Math.floor((room + spacing) / (least + spacing));
      const columns = Math.max(1, Math.min(spec.columns ?? 1, fitting));
      const part = Math.floor((room - (columns - 1) * spacing) / columns);
      return { ...spec, columns, spacing, spec: { ...spec.spec, width: part } };
    }
    if ("vconcat" in spec) {
      return { ...spec, vconcat: spec.vconcat.map((part) => ({ ...part, width: width - margin })) };
    }
    return { ...spec, width };
  };

  const embed = (element, spec, config) =>
    vegaEmbed(element, spec, {
      // Vega tells errors only. (Vega-Lite's warning of heights that follow the number of lanes is harmless.)
      config, actions: false, ast: true, defaultStyle: false, logLevel: 1, mode: "vega-lite", renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });

  const draw = async (figure, chart) => {
    const holder = figure.querySelector(".chart");
    const spec = { ...chart.spec };
    delete spec.title; // the page has it
    const fitting = isComposite(spec) ? sized(spec, holder.clientWidth) : spec;
    const result = await embed(holder, fitting, themes.page);
    drawn[figure.id] = result.view;
    await hide(figure);
  };

  const hide = (figure) => {
    const off = figure.querySelectorAll(".series [aria-pressed=false]");
    return drawn[figure.id].signal("hidden", Array.from(off, (button) => button.value)).runAsync();
  };

  const switches = (figure, series) => {
    const group = figure.querySelector(".series");
    if (!group) return;
    for (const [name, colour] of Object.entries(series)) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", value: name, textContent: name });
      button.style.setProperty("--colour", colour);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        hide(figure);
      });
      group.append(button);
    }
  };

  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  const csv = (spec) => {
    const rows = Object.values(spec.datasets).flat();
    const columns = [...new Set(rows.flatMap(Object.keys))];
    // A text that begins like a formula is none.
    const cell = (value) => {
      const text = value === undefined || value === null ? "" : String(value);
      const plain = typeof value === "string" && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
      return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
    };
    return [columns, ...rows.map((row) => columns.map((column) => row[column]))]
      .map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  };

  const picture = async (chart, kind, off) => {
    const holder = document.createElement("div");
    const { view } = await embed(holder, sized(chart.spec, FILE_WIDTH), { ...themes.file, background: "white", padding: 12 });
    await view.signal("hidden", off).runAsync();
    if (kind === "svg") return new Blob([await view.toSVG()], { type: "image/svg+xml" });
    const canvas = await view.toCanvas(2);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  const unpacked = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Blob([await new Response(stream).blob()], { type: "application/json" });
  };

  for (const [id, chart] of Object.entries(charts)) {
    const figure = document.getElementById(id);
    switches(figure, chart.series);
    for (const button of figure.querySelectorAll(".save button")) {
      button.addEventListener("click", async () => {
        const off = Array.from(figure.querySelectorAll(".series [aria-pressed=false]"), (one) => one.value);
        const blob = button.value === "csv"
          ? new Blob([csv(chart.spec)], { type: "text/csv" }) : await picture(chart, button.value, off);
        save(blob, `${id}.${button.value}`);
      });
    }
  }
  for (const button of document.querySelectorAll("button[value=json]")) {
    const data = button.closest("section").querySelector("script.data").textContent;
    button.addEventListener("click", async () => save(await unpacked(data), button.dataset.file));
  }
  for (const line of document.querySelectorAll(".save")) line.hidden = false;

  const all = Promise.all(Object.entries(charts).map(([id, chart]) => draw(document.getElementById(id), chart)));
  all.then(() => { document.documentElement.dataset.drawn = "all"; });

  let width = window.innerWidth;
  let timer;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const [id, chart] of Object.entries(charts)) {
        if (isComposite(chart.spec)) draw(document.getElementById(id), chart);
      }
    }, 150);
  });
})();
