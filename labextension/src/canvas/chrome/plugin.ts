import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { CodeEditor, IEditorServices } from '@jupyterlab/codeeditor';

import { make } from './dom';
import { ending, useScribe, type IScript } from './script';

/** The editor of scripts: JupyterLab's own, with its theme, its keys and the colours of the script's language. */
export const scripts: JupyterFrontEndPlugin<void> = {
  id: 'hybridnb:scripts',
  description: 'Lets the scripts of jobs be written in the editor of JupyterLab.',
  autoStart: true,
  requires: [IEditorServices],
  activate: (_, services: IEditorServices) => useScribe((text, label, changed) => edit(services, text, label, changed))
};

function edit(services: IEditorServices, text: string, label: string, changed: () => void): IScript {
  const node = make('div', 'editor');
  const model = new CodeEditor.Model();
  const colour = () => {
    model.mimeType = services.mimeTypeService.getMimeTypeByFilePath(`script.${ending(model.sharedModel.getSource())}`);
  };
  model.sharedModel.setSource(text);
  colour();
  const editor = services.factoryService.newInlineEditor({ host: node, model, config: { lineNumbers: false, lineWrap: false } });
  node.querySelector('[contenteditable]')?.setAttribute('aria-label', label);
  const heard = () => {
    colour();
    changed();
  };
  model.sharedModel.changed.connect(heard);
  return {
    node,
    get text() {
      return model.sharedModel.getSource();
    },
    set text(value: string) {
      model.sharedModel.setSource(value);
    },
    dispose: () => {
      model.sharedModel.changed.disconnect(heard);
      editor.dispose();
      model.dispose();
    }
  };
}
