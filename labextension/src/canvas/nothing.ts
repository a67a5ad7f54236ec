/** Stand for a package that is left out of the bundle: a plugin of cytoscape that adds nothing. */
export default function nothing(): void {}
