// Sliders set the signals of the charts; what they show is also said in a sentence.
(async () => {
  const data = JSON.parse(document.getElementById("live-data").textContent);
  document.getElementById("live-charts").hidden = false;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const look = () => {
    const ink = getComputedStyle(document.body).color;
    const words = { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink };
    return { background: null, axis: { ...words, gridColor: dark.matches ? "#333333" : "#e4e4e4" }, text: { color: ink }, view: { stroke: null } };
  };
  const digits = (value) => Number(value).toLocaleString("en", { maximumSignificantDigits: 3 });

  async function corner(article, specs, choices, tell) {
    const inputs = [...article.querySelectorAll("input")];
    const charts = [...article.querySelectorAll(".chart")];
    let views = [];
    const chosen = () => Object.fromEntries(inputs.map((input) => [input.dataset.name, choices[input.dataset.name][input.value]]));
    const update = async () => {
      const values = chosen();
      for (const input of inputs) {
        const text = String(values[input.dataset.name]);
        article.querySelector(`output[for="${input.id}"]`).textContent = text;
        input.setAttribute("aria-valuetext", text);
      }
      for (const view of views) {
        for (const [name, value] of Object.entries(values)) view.signal(`chosen_${name}`, value);
        await view.runAsync();
      }
      article.querySelector(".reading").textContent = tell(values);
    };
    const draw = async () => {
      for (const view of views) view.finalize();
      const values = chosen();
      const set = (spec) => ({ ...spec, params: spec.params.map((one) => ({ ...one, value: values[one.name.replace("chosen_", "")] })) });
      const made = specs.map((spec, index) => vegaEmbed(charts[index], set(spec), { actions: false, renderer: "svg", config: look() }));
      views = (await Promise.all(made)).map((result) => result.view);
      await update();
    };
    for (const input of inputs) input.addEventListener("input", update);
    dark.addEventListener("change", draw);
    await draw();
  }

  for (const article of document.querySelectorAll("article.live")) {
    const claim = article.dataset.claim;
    if (claim === "separation") {
      const { chart, choices, rows } = data.separation;
      await corner(article, [chart], choices, ({ d, omega }) => {
        const found = rows.filter((row) => row.d === d && row.omega === omega);
        return "Needed: at least " + found.filter((row) => [0.5, 0.1, 0.01].includes(row.eps))
          .map((row) => `${digits(row.K)} neuron${row.K === 1 ? "" : "s"} for relative squared error ${row.eps}`).join(", ") + ".";
      });
    } else {
      const { curve, bars, choices, numbers, sizes } = data.functions[claim];
      await corner(article, [curve, bars], choices, ({ panel, width, depth }) => {
        const same = (row) => row.panel === panel && row.width === width && row.depth === depth;
        const found = numbers.filter(same);
        if (!found.length) {
          const here = sizes.filter(([target]) => target === panel);
          const widths = here.filter(([, , layers]) => layers === depth).map(([, units]) => units);
          const depths = [...new Set(here.map(([, , layers]) => layers))];
          const known = widths.length ? `of that depth: widths ${widths.join(", ")}` : `to it: depths ${depths.join(", ")}`;
          return `No network of width ${width} with ${depth} hidden layers was fitted to this target; fitted ${known}.`;
        }
        const size = sizes.find(([p, w, l]) => p === panel && w === width && l === depth);
        return `${size[3]} affine pieces. Relative squared error: ` + found.map((row) => `${row.kind} ${digits(row.amount)}`).join(", ") + ".";
      });
    }
  }
})();
