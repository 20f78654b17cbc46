// Watches the output of one cell: every frame, every long task, the last change, the last words.
(() => {
  const TAIL_CHARACTERS = 400;
  let area, words, seen, observers;

  // From the end backwards: looking at all of a long text in every frame would be felt.
  function tail() {
    let last = area;
    while (last.lastChild) last = last.lastChild;
    const walker = document.createTreeWalker(area, NodeFilter.SHOW_TEXT);
    walker.currentNode = last;
    let text = last.nodeType === Node.TEXT_NODE ? last.data.slice(-TAIL_CHARACTERS) : "";
    for (let nodes = 0; nodes < 50 && text.length < TAIL_CHARACTERS; nodes++) {
      if (!walker.previousNode()) break;
      text = walker.currentNode.data.slice(-TAIL_CHARACTERS) + text;
    }
    return text;
  }

  // Each start has frames of its own: those asked for before may still be on their way.
  function watchFrames(mine) {
    requestAnimationFrame((time) => {
      if (mine !== seen || observers === null) return;
      seen.frames.push(time);
      if (seen.words_at === null && tail().includes(words)) seen.words_at = performance.now();
      watchFrames(mine);
    });
  }

  function addTasks(entries) {
    for (const task of entries) seen.tasks.push([task.startTime, task.duration]);
  }

  function observe() {
    const tasks = new PerformanceObserver((list) => addTasks(list.getEntries()));
    tasks.observe({ type: "longtask" });
    const changes = new MutationObserver(() => (seen.changed_at = performance.now()));
    changes.observe(area, { childList: true, subtree: true, characterData: true });
    observers = [tasks, changes];
  }

  window.glmProbe = {
    start(index, lastWords) {
      area = document.querySelectorAll(".jp-Notebook .jp-Cell")[index];
      area = area.querySelector(".jp-Cell-outputArea");
      words = lastWords;
      const now = performance.now();
      seen = { origin: performance.timeOrigin, frames: [], tasks: [], started_at: now };
      Object.assign(seen, { words_at: null, changed_at: now });
      observe();
      watchFrames(seen);
    },
    state: () => ({
      has_words: seen.words_at !== null,
      is_live: area.querySelector(".jupyter-widgets") !== null,
      still_ms: performance.now() - seen.changed_at,
    }),
    stop() {
      addTasks(observers[0].takeRecords());
      for (const observer of observers) observer.disconnect();
      observers = null;
      const formulas = area.querySelectorAll("mjx-container").length;
      return { ...seen, text: area.textContent, formulas };
    },
  };
})();
