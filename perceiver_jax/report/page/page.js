// The curves: one figure of BokehJS for each metric, all with the same steps and the same choice of lines.
(() => {
  const { panels, colours } = JSON.parse(document.getElementById("curves-data").textContent);
  const place = document.getElementById("curves");
  if (!place || !panels.length) return;
  const [INK, GRID] = ["#737f8c", "rgba(128, 140, 150, 0.3)"]; // to be read on white and on black: the window may change
  const Model = (name) => Bokeh.Models.get(name);
  const several = Object.keys(colours).length > 1;
  const evaluations = [...new Set(panels.flatMap((p) => p.lines.map((l) => l.split)))].filter((s) => s !== "train");
  const steps = panels.flatMap((p) => p.lines.flatMap((l) => [l.x[0], l.x[l.x.length - 1]]));
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const room = (last - first || 1) * 0.02;
  const mayDrag = matchMedia("(pointer: fine)").matches; // on a phone a drag scrolls the page
  const shared = new (Model("Range1d"))({ start: first - room, end: last + room });
  const figures = [];
  const holders = []; // of the figures, in the page
  const drawn = []; // {run, split, renderers}

  const words = (value, percent) =>
    Number.isNaN(value) ? "not finite" : String(Number(value.toPrecision(5))) + (percent ? " %" : "");

  function draw(panel) {
    const figure = Bokeh.Plotting.figure({
      height: 260,
      sizing_mode: "stretch_width",
      x_range: shared,
      y_axis_type: panel.log ? "log" : "linear",
      tools: "box_zoom,pan,reset,save",
      toolbar_location: "above",
      background_fill_color: null,
      border_fill_color: null,
      outline_line_color: null,
      min_border_left: 58,
    });
    figure.toolbar.logo = null;
    figure.toolbar.autohide = true;
    if (!mayDrag) figure.toolbar.active_drag = null;
    const percent = panel.label.includes("(%");
    figure.left[0].formatter = new (Model("BasicTickFormatter"))({ power_limit_low: -6 });
    const values = panel.lines.flatMap((line) => line.y.filter((value) => value !== null));
    if (values.every((value) => value === values[0])) figure.y_range.default_span = Math.abs(values[0]) || 1;
    const targets = [];
    for (const line of panel.lines) {
      const isTraining = line.split === "train";
      const color = colours[line.run][line.split];
      const y = line.y.map((value) => (value === null ? NaN : value));
      const name = several ? `${line.run}, ${line.split}` : line.split;
      const data = { x: line.x, y, name: y.map(() => name), text: y.map((value) => words(value, percent)) };
      const source = new Bokeh.ColumnDataSource({ data });
      const dash = evaluations.indexOf(line.split) > 0 ? "dashed" : "solid";
      const look = { source, line_color: color, line_dash: dash };
      const x = { field: "x" };
      const renderers = [
        figure.line(x, { field: "y" }, {
          ...look,
          line_width: isTraining ? 1.3 : 2,
          line_alpha: isTraining && several ? 0.55 : 1,
        }),
      ];
      targets.push(renderers[0]);
      if (y.length < 120 && (!isTraining || y.length < 3)) {
        renderers.push(figure.scatter(x, { field: "y" }, { source, size: 6, fill_color: color, line_color: null }));
      }
      if (line.broken !== null) {
        const span = new (Model("Span"))({ location: line.broken, dimension: "height", line_color: "#d02040", line_dash: "dotted" });
        figure.add_layout(span);
        renderers.push(span);
      }
      drawn.push({ run: line.run, split: line.split, renderers });
    }
    const tooltips = "<div>@name, step @x{0,0}<br><b>@text</b></div>"; // what stands in for @ is escaped by Bokeh
    figure.add_tools(
      new (Model("HoverTool"))({
        renderers: targets,
        tooltips,
        mode: targets.length > 6 ? "mouse" : "vline",
        line_policy: "nearest",
      }),
    );
    const [below] = figure.below;
    below.formatter = new (Model("NumeralTickFormatter"))({ format: "0,0" });
    below.ticker.desired_num_ticks = 5;
    for (const axis of [below, ...figure.left]) {
      axis.setv({
        axis_line_color: GRID, major_tick_line_color: GRID, minor_tick_line_color: null,
        major_label_text_color: INK, major_label_text_font_size: "12px",
      });
    }
    for (const one of figure.center) if ("grid_line_color" in one) one.grid_line_color = GRID;
    figures.push(figure);
    const frame = document.createElement("figure");
    const title = document.createElement("figcaption");
    title.textContent = panel.label;
    const holder = document.createElement("div");
    frame.append(title, holder);
    place.append(frame);
    holders.push(holder);
  }

  const choice = (attribute) =>
    new Set([...document.querySelectorAll(`input[data-${attribute}]:checked`)].map((box) => box.dataset[attribute]));

  function choose() {
    const [runs, splits] = [choice("run"), choice("split")];
    for (const line of drawn) {
      const visible = (!several || runs.has(line.run)) && splits.has(line.split);
      for (const renderer of line.renderers) renderer.visible = visible;
    }
  }

  panels.forEach(draw);
  const all = new Bokeh.Document(); // one: only so can the figures share their steps
  for (const figure of figures) all.add_root(figure);
  Bokeh.embed.add_document_standalone(all, place, holders);
  for (const box of document.querySelectorAll("input[data-run], input[data-split]")) box.addEventListener("change", choose);
  choose(); // a browser that goes back keeps the boxes as they were
  const undo = []; // after printing
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details.print:not([open])")) {
      one.open = true;
      undo.push(() => (one.open = false));
    }
    figures.forEach((figure, i) => {
      // What is on the screen, as a canvas that shrinks with the paper.
      const { canvas } = all.views_manager.get(figure).export("auto", true);
      canvas.className = "printed";
      holders[i].after(canvas);
      undo.push(() => canvas.remove());
    });
  });
  addEventListener("afterprint", () => undo.splice(0).forEach((one) => one()));
})();
