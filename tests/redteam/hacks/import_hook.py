"""A finder in front of pytest's own, which loads test modules without their asserts."""

from tests.redteam.attack import both

CODE = """
import ast
import importlib.machinery
import sys
class _Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, **more):
        tree = ast.fix_missing_locations(_Drop().visit(ast.parse(data)))
        return compile(tree, path, "exec")
class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.endswith("test_prices"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = _Loader(name, spec.origin)
        return spec
sys.meta_path.insert(0, _Finder)
"""
ATTACKS = both(CODE, "mean")
