// jupyter-cytoscape brings layouts and a tooltip that the canvas does not use: Python places the jobs, and its own tooltip shows
// users' words as text. They stay out of the bundle, and with them klayjs, which is not under a permissive licence.
const nothing = require.resolve('./lib/canvas/nothing.js');
const unused = ['cytoscape-cola', 'cytoscape-dagre', 'cytoscape-klay', 'cytoscape-popper', 'tippy.js'];
const styles = { 'tippy.js/themes/material.css': false, [require.resolve('jupyter-cytoscape/css/widget.css')]: false };

module.exports = {
  resolve: {
    alias: { ...styles, ...Object.fromEntries(unused.map(name => [`${name}$`, nothing])) }
  }
};
