from dataclasses import replace

import numpy as np
import pytest
import trimesh

from pointgen.datasets.procedural import CATEGORIES, make_shape
from pointgen.datasets.procedural.airplane import Airplane
from pointgen.datasets.procedural.car import Car
from pointgen.datasets.procedural.chair import Back, Chair, Legs
from pointgen.datasets.procedural.lamp import Lamp
from pointgen.datasets.procedural.mug import Mug
from pointgen.datasets.procedural.shapes import build_shape
from pointgen.datasets.procedural.simple import Box, Cone, Cylinder, Sphere, Torus
from pointgen.datasets.procedural.solids import ball, beam, box, lathe, mirror, outline, slab, tube
from pointgen.datasets.procedural.table import Table


def rng(seed=0):
    return np.random.default_rng(seed)


def solid(shape):
    """A mesh of trimesh with the corners of its parts joined."""
    mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
    mesh.merge_vertices(digits_vertex=9)
    return mesh


def extent(recipe):
    return np.ptp(build_shape(recipe).vertices, axis=0)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_shape_is_sound(category):
    for seed in range(25):
        shape = make_shape(category, rng(seed))
        assert np.isfinite(shape.vertices).all()
        assert np.abs(shape.vertices).max() < 0.6
        np.testing.assert_allclose(shape.vertices.min(axis=0), -shape.vertices.max(axis=0))
        mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
        assert mesh.area_faces.min() > 0
        assert all(np.isfinite(value) for value in shape.attributes.values())


@pytest.mark.parametrize("category", CATEGORIES)
def test_closed_parts_face_outwards(category):
    for seed in range(12):
        parts = solid(make_shape(category, rng(seed))).split(only_watertight=True)
        assert len(parts) > 0
        assert all(part.volume > 0 for part in parts)


@pytest.mark.parametrize("category", CATEGORIES)
def test_equal_generators_make_equal_shapes(category):
    first, again, other = (make_shape(category, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert first.attributes == again.attributes != other.attributes


def test_an_unknown_category_is_named():
    with pytest.raises(ValueError, match=r"expected one of airplane, box.*'boat'"):
        make_shape("boat", rng())


@pytest.mark.parametrize(
    ("recipe", "volume"),
    [
        (Box(0.5, 0.4, 0.3), 0.06),
        (Cylinder(0.3, 0.5), np.pi * 0.09 * 0.5),
        (Cone(0.3, 0.6), np.pi * 0.09 * 0.2),
        (Sphere(0.4), 4 / 3 * np.pi * 0.064),
        (Torus(0.3, 0.1), 2 * np.pi**2 * 0.3 * 0.01),
    ],
)
def test_simple_solids_have_their_volume(recipe, volume):
    mesh = solid(build_shape(recipe))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(volume, rel=0.02)  # inscribed polyhedra are a little less


@pytest.mark.parametrize(
    ("mesh", "volume"),
    [
        (box((0, 0, 0), (1, 2, 3)), 6),
        (mirror(box((0, 0, 0), (1, 2, 3))), 6),
        (beam((0, 0, 0), (0.3, -2, 0), 0.5, 0.5), 0.5),
        (beam((0, 0, 0), (0, 3, 0), 1, 1, taper=0.0), 1),
        (slab(outline(2, 2, sides=400), 0, 1), np.pi),
        (tube(np.array([[0, 0, 0], [0, 3, 4]]), 1.0, sides=400), 5 * np.pi),
        (lathe([(1, 0), (1, 2), (0.5, 2), (0.5, 1)], sides=400), np.pi * 1.75),
        (ball((1, 1, 1), (1, 2, 3), sides=400), 8 * np.pi),
    ],
)
def test_parts_have_their_volume(mesh, volume):
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).volume == pytest.approx(volume, rel=1e-3)


CHAIR = replace(
    Chair.draw(rng()),
    legs=Legs.SQUARE,
    back=Back.SOLID,
    round_seat=False,
    arms=False,
    leg_splay=0.0,
    back_tilt=0.0,
    stretchers=False,
)


def parts(recipe):
    """The parts of a shape, as separate meshes."""
    shape = build_shape(recipe)
    return trimesh.Trimesh(shape.vertices, shape.faces, process=False).split()


@pytest.mark.parametrize("height", [0.33, 0.45])
def test_legs_are_as_long_as_they_say(height):
    chair = replace(CHAIR, seat_height=height)
    floor = build_shape(chair).vertices[:, 1].min()
    legs = [part for part in parts(chair) if part.bounds[0, 1] < floor + 1e-9]
    assert len(legs) == 4
    for leg in legs:
        assert np.ptp(leg.bounds, axis=0)[1] == pytest.approx(height)
        assert np.ptp(leg.bounds, axis=0)[0] == pytest.approx(CHAIR.leg_thickness)


@pytest.mark.parametrize(
    ("recipe", "name", "axis"),
    [
        (CHAIR, "seat_width", 0),
        (CHAIR, "seat_depth", 2),
        (CHAIR, "seat_height", 1),
        (CHAIR, "back_height", 1),
        (Table.draw(rng(2)), "height", 1),
        (replace(Airplane.draw(rng()), wing_span=0.8), "wing_span", 0),
        (Car.draw(rng()), "length", 2),
        (Mug.draw(rng()), "height", 1),
        (Lamp.draw(rng(1)), "height", 1),
    ],
)
def test_a_length_is_a_length_of_the_mesh(recipe, name, axis):
    longer = replace(recipe, **{name: vars(recipe)[name] + 0.05})
    assert extent(longer)[axis] - extent(recipe)[axis] == pytest.approx(0.05, rel=0.05)


def test_splay_spreads_the_feet():
    def spread(chair):
        vertices = build_shape(chair).vertices
        return np.ptp(vertices[vertices[:, 1] < vertices[:, 1].min() + 1e-6, 0])

    out = 2 * 0.7 * CHAIR.seat_height * np.tan(0.2)
    assert spread(replace(CHAIR, leg_splay=0.2)) - spread(CHAIR) == pytest.approx(out)


def test_sweep_moves_the_wing_tips_back():
    plane = replace(Airplane.draw(rng()), wing_sweep=0.0, engines=0, tail_span=0.2)

    def tip(recipe):
        vertices = recipe.mesh().vertices
        return vertices[np.abs(vertices[:, 0] - recipe.wing_span / 2) < 1e-9, 2].mean()

    reach = plane.wing_span / 2 - 0.6 * plane.radius
    assert tip(replace(plane, wing_sweep=0.5)) - tip(plane) == pytest.approx(reach * np.tan(0.5))


def test_discrete_attributes_add_their_parts():
    assert len(parts(CHAIR)) == 6  # seat, back, four legs
    assert len(parts(replace(CHAIR, arms=True))) == 6 + 4
    assert len(parts(replace(CHAIR, stretchers=True))) == 6 + 3
    assert len(parts(replace(CHAIR, legs=Legs.PEDESTAL))) == 2 + 6
    assert len(parts(replace(CHAIR, back=Back.SLATS, slats=4))) == 5 + 2 + 1 + 4
    assert len(parts(replace(CHAIR, back=Back.LADDER, slats=4))) == 5 + 2 + 3


def test_chairs_come_in_many_kinds_and_mostly_on_four_legs():
    chairs = [Chair.draw(rng(seed)) for seed in range(300)]
    assert {chair.back for chair in chairs} == set(Back)
    assert {chair.legs for chair in chairs} == set(Legs)
    assert np.mean([chair.legs == Legs.PEDESTAL for chair in chairs]) < 0.2
    assert 0.2 < np.mean([chair.arms for chair in chairs]) < 0.5
