/** `Wait_For_Correction` → `Wait For Correction`. */
export const words = (name: string) => name.replaceAll("_", " ");
