// @ts-check
/**
 * A transformer for the TypeScript compiler: writes names the way that V8 can compile them to constants, and changes nothing of what a program
 * means.
 *
 * - A `const` at the top of a file that is a number (`const ROWS = 32`, `export const F_SACK = 1 << 3`) stands as that number wherever it is
 *   used, as the value of a `const enum` would.
 * - What else a function uses of another file, and functions of its own, it uses through a `const` of its file, made when the file begins.
 *
 * Why: an import is a cell that compiled code reads at each use. It checks that the module it came from has run, and finds out anew whether a
 * number is in it, or the function that was there before. A packet's way has some hundred such uses (docs/performance/notes.md).
 *
 * It relies on what the floors guarantee (.dependency-cruiser.cjs): no cycle of imports, so a file begins when all that it imports has run.
 */
import ts from 'typescript';

/** @type {ReadonlyMap<ts.SyntaxKind, (a: number, b: number) => number>} */
const OPERATORS = new Map([
  [ts.SyntaxKind.PlusToken, (a, b) => a + b],
  [ts.SyntaxKind.MinusToken, (a, b) => a - b],
  [ts.SyntaxKind.AsteriskToken, (a, b) => a * b],
  [ts.SyntaxKind.SlashToken, (a, b) => a / b],
  [ts.SyntaxKind.PercentToken, (a, b) => a % b],
  [ts.SyntaxKind.AsteriskAsteriskToken, (a, b) => a ** b],
  [ts.SyntaxKind.LessThanLessThanToken, (a, b) => a << b],
  [ts.SyntaxKind.GreaterThanGreaterThanToken, (a, b) => a >> b],
  [ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken, (a, b) => a >>> b],
  [ts.SyntaxKind.AmpersandToken, (a, b) => a & b],
  [ts.SyntaxKind.BarToken, (a, b) => a | b],
  [ts.SyntaxKind.CaretToken, (a, b) => a ^ b],
]);

/** What the names of a program stand for. */
class Names {
  #checker;
  /** @type {Map<ts.Declaration, number | null>} */
  #values = new Map();

  /** @param {ts.TypeChecker} checker */
  constructor(checker) {
    this.#checker = checker;
  }

  /** The number that a name stands for, or null. @param {ts.MemberName} name */
  number(name) {
    const declaration = this.#declaration(name);
    return declaration !== null && ts.isVariableDeclaration(declaration) ? this.#constant(declaration) : null;
  }

  /** Does it never change, and is it there when this file begins: an import, or a function of the file's own? @param {ts.Identifier} name */
  isSettled(name) {
    const declaration = this.#declaration(name);
    if (declaration === null) return false;
    if (ts.isFunctionDeclaration(declaration)) return ts.isSourceFile(declaration.parent);
    if (declaration.getSourceFile() === name.getSourceFile()) return false;
    return ts.isClassDeclaration(declaration) || (ts.isVariableDeclaration(declaration) && isConst(declaration));
  }

  /** @param {ts.MemberName} name */
  #declaration(name) {
    const { parent } = name;
    const symbol = ts.isShorthandPropertyAssignment(parent)
      ? this.#checker.getShorthandAssignmentValueSymbol(parent)
      : this.#checker.getSymbolAtLocation(name);
    if (symbol === undefined) return null;
    const meant = (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? this.#checker.getAliasedSymbol(symbol) : symbol;
    const declaration = meant.valueDeclaration;
    return declaration === undefined || declaration.getSourceFile().isDeclarationFile ? null : declaration;
  }

  /** @param {ts.VariableDeclaration} declaration @returns {number | null} */
  #constant(declaration) {
    const known = this.#values.get(declaration);
    if (known !== undefined) return known;
    // While it is looked at, so that one that is made of itself ends.
    this.#values.set(declaration, null);
    const value = isConst(declaration) && declaration.initializer !== undefined ? this.#evaluate(declaration.initializer) : null;
    const number = value !== null && Number.isFinite(value) ? value : null;
    this.#values.set(declaration, number);
    return number;
  }

  /** @param {ts.Expression} e @returns {number | null} */
  #evaluate(e) {
    if (ts.isNumericLiteral(e)) return Number(e.text);
    if (ts.isIdentifier(e)) return this.number(e);
    if (ts.isParenthesizedExpression(e)) return this.#evaluate(e.expression);
    if (ts.isPrefixUnaryExpression(e)) {
      const value = this.#evaluate(e.operand);
      if (value === null) return null;
      return e.operator === ts.SyntaxKind.MinusToken ? -value : e.operator === ts.SyntaxKind.TildeToken ? ~value : null;
    }
    if (!ts.isBinaryExpression(e)) return null;
    const operator = OPERATORS.get(e.operatorToken.kind);
    const left = operator === undefined ? null : this.#evaluate(e.left);
    const right = left === null ? null : this.#evaluate(e.right);
    return operator === undefined || left === null || right === null ? null : operator(left, right);
  }
}

/** `const NAME = ...` at the top of a file. @param {ts.VariableDeclaration} declaration */
function isConst(declaration) {
  const list = declaration.parent;
  if (!ts.isVariableDeclarationList(list) || (list.flags & ts.NodeFlags.Const) === 0 || !ts.isIdentifier(declaration.name))
    return false;
  return ts.isVariableStatement(list.parent) && ts.isSourceFile(list.parent.parent);
}

/** Is the name read here, and not one that is given or one of a property? @param {ts.Identifier} name */
function isRead(name) {
  const parent = /** @type {{ name?: ts.Node, propertyName?: ts.Node, label?: ts.Node }} */ (
    /** @type {unknown} */ (name.parent)
  );
  return parent.name !== name && parent.propertyName !== name && parent.label !== name;
}

/** @param {ts.NodeFactory} f @param {number} value @param {string} name @returns {ts.Expression} */
function literal(f, value, name) {
  const digits = f.createNumericLiteral(Math.abs(value));
  const negative = value < 0 || Object.is(value, -0);
  const node = negative
    ? f.createParenthesizedExpression(f.createPrefixUnaryExpression(ts.SyntaxKind.MinusToken, digits))
    : digits;
  return ts.addSyntheticTrailingComment(node, ts.SyntaxKind.MultiLineCommentTrivia, ` ${name} `, false);
}

/** The file's own names for what is settled. @param {ts.NodeFactory} f */
function aliases(f) {
  /** @type {Map<string, ts.Identifier>} */
  const made = new Map();
  return {
    /** @param {ts.Identifier} name */
    of(name) {
      const there = made.get(name.text);
      if (there !== undefined) return there;
      const alias = f.createUniqueName(name.text, ts.GeneratedIdentifierFlags.Optimistic);
      made.set(name.text, alias);
      return alias;
    },
    statements() {
      return [...made].map(([name, alias]) => {
        const declaration = f.createVariableDeclaration(alias, undefined, undefined, f.createIdentifier(name));
        return f.createVariableStatement(undefined, f.createVariableDeclarationList([declaration], ts.NodeFlags.Const));
      });
    },
  };
}

/** @param {ts.TypeChecker} checker of the program that is compiled @returns {ts.TransformerFactory<ts.SourceFile>} */
export function constants(checker) {
  const names = new Names(checker);
  return (context) => (file) => {
    const f = context.factory;
    const own = aliases(f);

    /** @param {ts.Identifier} name @param {ts.Expression | null} otherwise */
    const value = (name, otherwise) => {
      const number = names.number(name);
      if (number !== null) return literal(f, number, name.text);
      return names.isSettled(name) ? own.of(name) : otherwise;
    };

    /** @param {ts.Node} node @returns {ts.Node} */
    const visit = (node) => {
      if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return node;
      if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return node;
      if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node;
      if (ts.isShorthandPropertyAssignment(node)) {
        const meant = value(node.name, null);
        return meant === null ? node : f.createPropertyAssignment(node.name.text, meant);
      }
      if (ts.isPropertyAccessExpression(node)) {
        const number = names.number(node.name);
        if (number !== null) return literal(f, number, node.name.text);
      }
      if (ts.isIdentifier(node) && isRead(node)) return /** @type {ts.Expression} */ (value(node, node));
      return ts.visitEachChild(node, visit, context);
    };

    const statements = file.statements.map((statement) => /** @type {ts.Statement} */ (ts.visitNode(statement, visit)));
    const begin = statements.findIndex((statement) => !ts.isImportDeclaration(statement));
    statements.splice(begin < 0 ? statements.length : begin, 0, ...own.statements());
    return f.updateSourceFile(file, statements);
  };
}
