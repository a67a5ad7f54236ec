// A federated module by hand, as JupyterLab 4 loads them: it shares nothing and exposes an empty array of plugins.
(window._JUPYTERLAB = window._JUPYTERLAB || {}).hybridnb = {
  init() {},
  get(module) {
    return module === './extension'
      ? Promise.resolve(() => ({ __esModule: true, default: [] }))
      : Promise.reject(new Error(`hybridnb has no module ${module}`));
  }
};
