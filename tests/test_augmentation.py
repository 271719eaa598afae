"""Crops and flips of training images, compared with every possible result."""

from collections import Counter

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from resnet_viz.training.augmentation import mix, padded_crop, rectangles, resized_crop, trivial_augment


class TestPaddedCrop:
    def test_gives_crops_of_the_padded_image_and_their_mirrors_alone(self) -> None:
        """Every result is one of the 5 x 5 x 2 that brute force finds, and every one of them occurs."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(1, 256, (1500, 3, 6, 5), generator=generator, dtype=torch.uint8)
        augmented = padded_crop(images, 2, generator)
        assert (augmented.shape, augmented.dtype) == (images.shape, torch.uint8)
        found: Counter[tuple[int, int, bool]] = Counter()
        for image, result in zip(images, augmented, strict=True):
            padded = torch.zeros(3, 10, 9, dtype=torch.uint8)
            padded[:, 2:8, 2:7] = image
            matches = [
                (top, left, mirrored)
                for top in range(5)
                for left in range(5)
                for mirrored in (False, True)
                if torch.equal(result.flip(2) if mirrored else result, padded[:, top : top + 6, left : left + 5])
            ]
            assert len(matches) == 1
            found.update(matches)
        assert len(found) == 50
        assert 650 < sum(count for (_, _, mirrored), count in found.items() if mirrored) < 850

    def test_without_padding_only_mirrors(self) -> None:
        images = torch.arange(40 * 3 * 4, dtype=torch.uint8).view(10, 3, 4, 4)
        for image, result in zip(images, padded_crop(images, 0, torch.Generator().manual_seed(0)), strict=True):
            assert torch.equal(result, image) or torch.equal(result, image.flip(2))

    def test_leaves_the_images_alone(self) -> None:
        images = torch.arange(8 * 3 * 4 * 4).view(8, 3, 4, 4).to(torch.uint8)
        before = images.clone()
        padded_crop(images, 2, torch.Generator().manual_seed(0))
        assert torch.equal(images, before)


class TestResizedCrop:
    def test_of_the_whole_image_resizes_and_flips_alone(self) -> None:
        """With the whole area and a ratio that does not fit, the whole image is taken."""
        images = torch.arange(20 * 3 * 8 * 8).view(20, 3, 8, 8).to(torch.uint8)
        crops = resized_crop(images, 8, 1.0, torch.Generator().manual_seed(0))
        flips = 0
        for image, crop in zip(images, crops, strict=True):
            assert torch.equal(crop, image) or torch.equal(crop, image.flip(2))
            flips += int(torch.equal(crop, image.flip(2)))
        assert 0 < flips < 20

    def test_shape_and_kind(self) -> None:
        images = torch.randint(256, (5, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        crops = resized_crop(images, 12, 0.3, torch.Generator().manual_seed(0))
        assert (crops.shape, crops.dtype) == (torch.Size([5, 3, 12, 12]), torch.uint8)

    def test_a_crop_of_one_colour_keeps_it(self) -> None:
        images = torch.full((4, 3, 16, 16), 77, dtype=torch.uint8)
        assert (resized_crop(images, 9, 0.2, torch.Generator().manual_seed(0)) == 77).all()

    def test_the_same_generator_gives_the_same_crops(self) -> None:
        images = torch.randint(256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        first, again = (resized_crop(images, 8, 0.3, torch.Generator().manual_seed(7)) for _ in range(2))
        assert torch.equal(first, again)

    def test_resizes_as_torchvision_does(self) -> None:
        """To more pixels and to fewer: the rectangle that the same draws give, cut out and resized on its own, to one step."""
        images = torch.randint(256, (40, 3, 40, 52), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        for size in (12, 64):
            drawn = rectangles(40, 40, 52, 0.3, torch.Generator().manual_seed(5)).tolist()
            crops = resized_crop(images, size, 0.3, torch.Generator().manual_seed(5))
            for image, crop, (top, left, height, width) in zip(images, crops, drawn, strict=True):
                expected = F.resized_crop(image, top, left, height, width, [size, size], antialias=True).int()
                assert min((e - crop.int()).abs().max() for e in (expected, expected.flip(2))) <= 1


class TestRectangles:
    def test_lie_inside_and_have_the_area_and_ratio_asked_for(self) -> None:
        shares, ratios = [], []
        for top, left, height, width in rectangles(2000, 160, 160, 0.35, torch.Generator().manual_seed(0)).tolist():
            assert 0 <= top <= 160 - height
            assert 0 <= left <= 160 - width
            shares.append(height * width / 160**2)
            ratios.append(width / height)
        # Rounding to whole pixels moves both a little.
        assert 0.34 < min(shares) < 0.37
        assert 0.93 < max(shares) <= 1
        assert 0.73 < min(ratios) < 0.8
        assert 1.25 < max(ratios) < 1.36

    def test_are_the_whole_image_where_none_fits(self) -> None:
        assert rectangles(3, 2, 400, 0.9, torch.Generator().manual_seed(0)).tolist() == [[0, 0, 2, 400]] * 3


class TestTrivialAugment:
    IMAGES = torch.randint(256, (16, 3, 24, 24), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)

    def test_changes_most_images_and_keeps_their_form(self) -> None:
        changed = trivial_augment(self.IMAGES, torch.Generator().manual_seed(0))
        assert changed.shape == self.IMAGES.shape
        assert changed.dtype == torch.uint8
        assert sum(not torch.equal(*pair) for pair in zip(changed, self.IMAGES, strict=True)) >= 8

    def test_draws_from_the_given_generator_alone(self) -> None:
        torch.manual_seed(7)
        first = trivial_augment(self.IMAGES, torch.Generator().manual_seed(0))
        after = torch.rand(1)
        torch.manual_seed(7)
        assert torch.equal(torch.rand(1), after)
        assert torch.equal(trivial_augment(self.IMAGES, torch.Generator().manual_seed(0)), first)
        assert not torch.equal(trivial_augment(self.IMAGES, torch.Generator().manual_seed(1)), first)


class TestMix:
    IMAGES, LABELS = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(2)), torch.arange(8)

    @pytest.mark.parametrize("seed", range(8))
    def test_images_and_targets_are_mixed_to_the_same_shares(self, seed: int) -> None:
        """Each image with its partner, which the targets name: all pixels to one share (MixUp), or a rectangle (CutMix)."""
        mixed, targets = mix(self.IMAGES, self.LABELS, 8, torch.Generator().manual_seed(seed))
        assert torch.allclose(targets.sum(1), torch.ones(8))
        for number, target in enumerate(targets):
            share = float(target[number])
            partner = int(torch.where(torch.arange(8) == number, -1.0, target).argmax())
            own, other = self.IMAGES[number], self.IMAGES[partner]
            is_own = (mixed[number] == own).all(0)
            if torch.allclose(mixed[number], share * own + (1 - share) * other, atol=1e-6):
                continue
            assert is_own.float().mean().item() == pytest.approx(share, abs=1e-6)
            assert torch.equal(mixed[number][:, ~is_own], other[:, ~is_own])
            rows, columns = (~is_own).any(1), (~is_own).any(0)
            assert int(rows.sum() * columns.sum()) == int((~is_own).sum())

    def test_both_ways_occur(self) -> None:
        def is_cut(seed: int) -> bool:
            mixed, _ = mix(self.IMAGES, self.LABELS, 8, torch.Generator().manual_seed(seed))
            return bool((mixed[0] == self.IMAGES[0]).all(0).any())

        assert {is_cut(seed) for seed in range(8)} == {True, False}
