// Recomputes the metrics of the chosen films when the threshold moves, and marks the point on both curves.
(() => {
  const page = JSON.parse(document.getElementById("films").textContent);
  const at = (id) => document.getElementById(id);
  const slider = at("threshold"), chooser = at("series"), prevalence = at("prevalence");
  let threshold = page.threshold; // exact: the slider's own steps are coarser than the operating point
  const share = (part, whole) => (whole > 0 ? part / whole : NaN);
  const show = (id, value) => { at(id).textContent = Number.isFinite(value) ? value.toFixed(3) : "–"; };

  function count(films, threshold) {
    const cells = { tp: 0, fp: 0, fn: 0, tn: 0 };
    films.probability.forEach((p, i) => {
      cells[p >= threshold ? (films.positive[i] ? "tp" : "fp") : (films.positive[i] ? "fn" : "tn")] += 1;
    });
    return cells;
  }

  function update() {
    const films = page.series[chooser.value];
    const { tp, fp, fn, tn } = count(films, threshold);
    const sensitivity = share(tp, tp + fn), specificity = share(tn, tn + fp), ppv = share(tp, tp + fp);
    const ill = Number(prevalence.value) / 100;
    for (const [id, value] of Object.entries({ tp, fp, fn, tn })) at(id).textContent = value;
    show("sensitivity", sensitivity);
    show("specificity", specificity);
    show("ppv", ppv);
    show("npv", share(tn, tn + fn));
    show("ppv-at", share(sensitivity * ill, sensitivity * ill + (1 - specificity) * (1 - ill)));
    show("npv-at", share(specificity * (1 - ill), specificity * (1 - ill) + (1 - sensitivity) * ill));
    show("accuracy", share(tp + tn, tp + fp + fn + tn));
    show("f1", share(2 * tp, 2 * tp + fp + fn));
    at("threshold-value").textContent = threshold.toFixed(3);
    mark("roc", 1 - specificity, sensitivity);
    mark("pr", sensitivity, ppv);
  }

  function mark(id, x, y) {
    const figure = at(id);
    Plotly.restyle(figure, { x: [[x]], y: [[y]] }, [figure.data.length - 1]);
  }

  // The curves of another series: trace 0 is the reference line, the last one the point.
  function draw() {
    const films = page.series[chooser.value], curves = films.curves;
    for (const id of ["roc", "pr"]) {
      const figure = at(id);
      const traces = figure.data.map((trace, index) => index).slice(1, -1);
      Plotly.restyle(figure, { x: traces.map((_, k) => curves[id][k].x), y: traces.map((_, k) => curves[id][k].y) }, traces);
    }
    const positives = films.positive.reduce((sum, value) => sum + value, 0) / films.positive.length;
    Plotly.restyle(at("pr"), { y: [[positives, positives]] }, [0]);
    update();
  }

  page.series.forEach((films, index) => chooser.add(new Option(films.name, index)));
  const start = () => { threshold = page.threshold; slider.value = threshold; update(); };
  prevalence.value = 10;
  slider.addEventListener("input", () => { threshold = Number(slider.value); update(); });
  prevalence.addEventListener("input", update);
  chooser.addEventListener("change", draw);
  at("reset").addEventListener("click", start);
  start();
  // Each figure was drawn while the page was still being read, before its column had its width.
  document.querySelectorAll(".js-plotly-plot").forEach((figure) => Plotly.Plots.resize(figure));
})();
