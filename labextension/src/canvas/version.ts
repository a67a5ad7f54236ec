/** The widget module, and the version that Python's `Canvas` asks for. */
export const MODULE = 'hybridnb';
export const VERSION = '0.1.0';
