import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { htmlRendererFactory, IRenderMimeRegistry } from '@jupyterlab/rendermime';

import { MIME } from './payload';
import { CardWidget } from './widget';

/** Cards: what a cell shows of a job or a run, with buttons while its kernel knows hybridnb. */
export const cards: JupyterFrontEndPlugin<void> = {
  id: 'hybridnb:cards',
  description: 'Shows the cards of jobs and runs, with buttons while their kernel knows hybridnb.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  activate: (_, rendermime: IRenderMimeRegistry) => {
    rendermime.addFactory({
      safe: true,
      mimeTypes: [MIME],
      defaultRank: 40, // text/html has 50, and the lower one is preferred
      createRenderer: options => {
        const html = rendermime.getFactory('text/html') ?? htmlRendererFactory;
        // Logs and params are full of dollar signs; they are no mathematics.
        return new CardWidget(html.createRenderer({ ...options, mimeType: 'text/html', latexTypesetter: null }));
      }
    });
  }
};
