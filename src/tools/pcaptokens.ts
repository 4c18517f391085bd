/** The words and signs of a filter of pcap-filter(7). Names are in small letters, as the language has them. */
const TOKEN = /&&|\|\||[!<>=]=|[()[\]!<>=&|]|[^\s()[\]!<>=&|]+/g;

export function tokensOf(text: string): string[] {
  return (text.match(TOKEN) ?? []).map((token) => token.toLowerCase());
}
